"""PURE.  Waits for an answer from every node, or says who is missing."""

from collections.abc import Iterable


class Barrier:
    """Waits for a set of nodes, up to a limit.

    ``now_ns`` and ``deadline_ns`` are nanoseconds on one monotonic clock, the caller's.
    """

    def __init__(self, nodes: Iterable[str], deadline_ns: int) -> None:
        self.missing = dict.fromkeys(nodes)  # a set that keeps the order
        self.deadline_ns = deadline_ns

    @property
    def is_complete(self) -> bool:
        """Whether nobody is missing."""
        return not self.missing

    def arrived(self, node: str) -> bool:
        """Take a node's answer; say whether it was the last one missing."""
        was_missing = node in self.missing
        self.missing.pop(node, None)
        return was_missing and not self.missing

    def is_late(self, now_ns: int) -> bool:
        """Whether the limit has passed with nodes missing."""
        return bool(self.missing) and now_ns >= self.deadline_ns

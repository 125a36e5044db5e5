"""Nodes that may still work for a run that is closed: they are told to stop until they say that they have."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.effects import Effect, ToNode
from broker.limits import LEFTOVER_NS, LEFTOVERS_OF_NODE, MAX_LEFTOVERS, REPEAT_NS
from fabric.protocol.messages import Abandon
from fabric.protocol.names import RUN


@dataclass(slots=True)
class _Leftover:
    repeat_ns: int
    until_ns: int  # then nothing more is said: the node's next hello tells what it works for


class Leftovers:
    """The table of pairs of node and closed run.  ``now_ns`` and ``deadline_ns`` are fabric time."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], _Leftover] = {}

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        return min((left.repeat_ns for left in self._pairs.values()), default=None)

    def add(self, node: str, run: str, now_ns: int) -> list[Effect]:
        """Tell a node to stop working for a run."""
        if (node, run) in self._pairs or len(self._pairs) >= MAX_LEFTOVERS:
            return []
        if RUN.fullmatch(run) is None:
            return []  # it says so only to be told: what is kept and said again would be of any length
        if sum(1 for other, _ in self._pairs if other == node) >= LEFTOVERS_OF_NODE:
            return []
        self._pairs[node, run] = _Leftover(now_ns + REPEAT_NS, now_ns + LEFTOVER_NS)
        return [_abandon(node, run)]

    def of(self, node: str) -> str:
        """Return a closed run for which a node may still work, or ""."""
        return next((run for name, run in self._pairs if name == node), "")

    def freed(self, node: str, run: str) -> None:
        """Take note that the node has stopped."""
        self._pairs.pop((node, run), None)

    def expire(self, now_ns: int, is_heard: Callable[[str], bool]) -> list[Effect]:
        """Say it again to those that are heard of.  Safe to call at any time."""
        effects: list[Effect] = []
        for pair, left in list(self._pairs.items()):
            if now_ns >= left.until_ns:
                del self._pairs[pair]
            elif now_ns >= left.repeat_ns:
                left.repeat_ns = now_ns + REPEAT_NS
                effects += [_abandon(*pair)] if is_heard(pair[0]) else []
        return effects


def _abandon(node: str, run: str) -> ToNode:
    return ToNode(node, Abandon(run=run, sentence=f"run {run} is closed"))

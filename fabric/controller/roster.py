"""PURE.  Which nodes of a run are not heard of, and how long they are waited for."""

from typing import Final

from fabric.protocol.limits import NODE_PATIENCE_S
from fabric.protocol.messages import NodeLost

PATIENCE_NS: Final = round(NODE_PATIENCE_S * 1_000_000_000)


NEVER_NS: Final = 1 << 62


class Roster:
    """Nodes that the broker has lost, until they are back or given up.  Instants are nanoseconds.

    With ``goes_on`` (`on_lost`) their steps go on alone: then phases and barriers have the only limits.
    """

    def __init__(self, *, goes_on: bool) -> None:
        self._goes_on = goes_on
        self._silent: dict[str, tuple[int, str]] = {}  # until when, and why then
        self._left: set[str] = set()

    def lost(self, message: NodeLost, now_ns: int) -> str:
        """Wait for a node; the first word about it counts.  Return what to say, "" if that was not it.

        One whose agent has said goodbye is not waited for.
        """
        if message.node in self._left:
            return ""
        if message.gone:
            self._silent[message.node] = (now_ns, message.sentence)
            return ""
        again = f"{message.sentence}, nor in the {NODE_PATIENCE_S:g} s after that"
        is_news = message.node not in self._silent
        until_ns = NEVER_NS if self._goes_on else now_ns + PATIENCE_NS
        self._silent.setdefault(message.node, (until_ns, again))
        if not is_news:
            return ""
        how = (
            "what runs there goes on (on_lost)" if self._goes_on else f"waiting {NODE_PATIENCE_S:g} s for it"
        )
        return f"{message.sentence}; {how}"

    def left(self, node: str) -> None:
        """Nothing of the run is left on a node, and all that it had to say is stored: it may go its way."""
        self._left.add(node)
        self.back(node)

    def back(self, node: str) -> None:
        """Do not wait any longer: it is back, or it was given up."""
        self._silent.pop(node, None)

    def postpone(self, ns: int) -> None:
        """Wait longer for all: the broker was away for so long, and could tell nothing."""
        self._silent = {node: (until_ns + ns, why) for node, (until_ns, why) in self._silent.items()}

    @property
    def deadline_ns(self) -> int | None:
        """When `due` has somebody to give up."""
        return min((until_ns for until_ns, _ in self._silent.values()), default=None)

    def due(self, now_ns: int) -> list[tuple[str, str]]:
        """Return the nodes that were waited for long enough, and why they are given up."""
        return [(node, why) for node, (until_ns, why) in self._silent.items() if now_ns >= until_ns]

"""Who has said what is no message, and is not listened to for a while.

No agent and no command does that: CURVE proves that the bytes are the peer's own.  To find out that they are
no message costs up to a tenth of a second for each, and everybody waits for it.
"""

from typing import Final

from broker.limits import PENALTY_NS

_KEPT: Final = 4096
"""Most offenders that are remembered; of more, those whose time is over first are forgotten."""


class Offenders:
    """``now_ns`` is fabric time."""

    def __init__(self) -> None:
        self._until_ns: dict[str, int] = {}  # those whose time is over first, first

    def offended(self, who: str, now_ns: int) -> None:
        """Listen to somebody no more for PENALTY_NS."""
        self._until_ns.pop(who, None)
        self._until_ns[who] = now_ns + PENALTY_NS
        while len(self._until_ns) > _KEPT:
            del self._until_ns[next(iter(self._until_ns))]

    def is_out(self, who: str, now_ns: int) -> bool:
        """Say whether somebody is not listened to."""
        until_ns = self._until_ns.get(who)
        return until_ns is not None and now_ns < until_ns

"""PURE.  How long a run waits for a broker that can store nothing: its disk is full."""

from typing import Final

from fabric.protocol.messages import Denied

PATIENCE_NS: Final = 30_000_000_000
"""Room may come back, and nothing is lost meanwhile; after so long the run is given up."""

NEWS_NS: Final = 5_000_000_000
"""The broker says it every second; if it has not for so long, there is room again."""

ENDS: Final = ("closed", "unknown_run", "not_yours", "no_room", "refused")
"""Denials that end a run that goes on, too."""

_LEFT: Final = "the run was given up: within {lease_s:g} s the nodes end their part of it and reset alone"


class Stall:
    """Follows what the broker says.  Instants are nanoseconds of the controller's monotonic clock."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._heard_ns: int | None = None

    def why_over(self, denied: Denied, lease_s: float, now_ns: int) -> str:
        """Return why a denial ends the run; "" if it is to wait.

        When it was given up, what the nodes report arrives nowhere, so not even a reset could be seen.
        """
        if denied.code not in ("no_room", "refused"):
            return denied.sentence
        is_over = denied.code == "refused" or self.is_too_long(now_ns)
        return f"{denied.sentence}; {_LEFT.format(lease_s=lease_s)}" if is_over else ""

    def is_too_long(self, now_ns: int) -> bool:
        """Take note that the broker has said it again.  Returns whether that has gone on for too long."""
        if self._heard_ns is None or now_ns - self._heard_ns >= NEWS_NS:
            self._since_ns = now_ns
        self._heard_ns = now_ns
        return now_ns - self._since_ns >= PATIENCE_NS

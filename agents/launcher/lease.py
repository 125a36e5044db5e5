"""How long the launcher works on without news from an agent.  Pure: the caller brings the time."""

from __future__ import annotations

_LATE_NS = 500_000_000
"""Who looks at a lease so long after its end has stood still, and so may the agent have, with the machine."""


class Lease:
    """Ends when a connected agent is silent for ``lease_ns``, or none is connected for ``grace_ns``.

    Instants are ns of one monotonic clock.
    """

    def __init__(self, lease_ns: int, grace_ns: int, now_ns: int) -> None:
        self._lease_ns = lease_ns
        self._grace_ns = grace_ns
        self._since_ns = now_ns
        self.is_connected = False
        self.is_over = False
        self._was_excused = False

    def connected(self, now_ns: int) -> None:
        """An agent has come."""
        self.is_connected = True
        self.heard(now_ns)

    def heard(self, now_ns: int) -> None:
        """The agent has said something, so the lease begins anew."""
        self._since_ns = now_ns
        self.is_over = self._was_excused = False

    def lost(self, now_ns: int) -> None:
        """The agent's connection has ended."""
        self.is_connected = False
        self._since_ns = now_ns
        self.is_over = self._was_excused = False

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        if self.is_over:
            return None
        return self._since_ns + (self._lease_ns if self.is_connected else self._grace_ns)

    def silence_ns(self, now_ns: int) -> int:
        """Return how long there was no news."""
        return now_ns - self._since_ns

    def expire(self, now_ns: int) -> bool:
        """Say whether the lease ends now; once.  It begins anew, once, if this process has stood still."""
        deadline_ns = self.deadline_ns
        if deadline_ns is None or now_ns < deadline_ns:
            return False
        if now_ns - deadline_ns > _LATE_NS and not self._was_excused:
            self._since_ns, self._was_excused = now_ns, True
            return False
        self.is_over = True
        return True

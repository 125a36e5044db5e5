"""PURE.  The run's own records, kept until the broker has stored them: the controller's journal, in memory.

A controller that dies takes with it what it had not sent; what is missing then, the broker says itself.
"""

from collections.abc import Sequence
from typing import Final

from fabric.protocol.messages import Acknowledged, Append, Resend
from fabric.protocol.records import Record

S: Final = 1_000_000_000

RESEND_NS: Final = 1_000_000_000
"""Records that are not acknowledged for so long are sent again."""

HOLD_NS: Final = 100_000_000
"""So long records may wait for the go of a phase: what the broker does for them would delay that."""

PATIENCE_NS: Final = 60 * S
"""A broker that is there and does not store them for so long never will: it says so if its disk is full."""

BATCH: Final = 100
"""Most records in one message."""


class Notes:
    """Numbers records and sends them until they are acknowledged.  Instants are one monotonic clock's."""

    def __init__(self, run: str, incarnation: int) -> None:
        self._run = run
        self._incarnation = incarnation
        self._records: list[Record] = []
        self._dropped = 0  # acknowledged and forgotten
        self._sent = 0
        self._due_ns: int | None = None
        self._held_ns: int | None = None  # since when some wait
        self._asks = False  # the broker has still to say where it stands
        self._waits_ns: int | None = None  # since when nothing of what was sent was acknowledged

    @property
    def deadline_ns(self) -> int | None:
        """When records are sent that wait, or those again that are unanswered."""
        return self._due_ns if self._held_ns is None else self._held_ns + HOLD_NS

    def add(self, record: Record) -> None:
        """Take a record."""
        self._records.append(record)

    def restart(self, *, ask: bool = False) -> None:
        """The connection is new: what was on its way may be lost.

        Args:
            ask: Say where the journal stands also if nothing is to be sent.  The broker's store may be older
                and not have the run open: it has to hear of it to say so.
        """
        self._sent, self._asks, self._due_ns, self._waits_ns = self._dropped, ask, None, None

    def acknowledged(self, message: Acknowledged) -> None:
        """Forget what is stored."""
        if message.incarnation != self._incarnation:
            return
        self._asks = False
        if message.number <= self._dropped:
            return
        count = min(message.number - self._dropped, len(self._records))
        del self._records[:count]
        self._dropped += count
        self._sent = max(self._sent, self._dropped)
        self._waits_ns = None

    def overdue(self, now_ns: int) -> str:
        """Say that the broker has not stored the oldest record for too long, or nothing."""
        if self._waits_ns is None or now_ns - self._waits_ns < PATIENCE_NS:
            return ""
        which = f"record {self._dropped + 1}, {self._records[0].kind}"
        return f"the broker has not stored what the run says of itself for {PATIENCE_NS // S} s ({which})"

    def resend(self, message: Resend) -> bool:
        """Go back to what is missing; return False if it was acknowledged: the broker has lost it since."""
        if message.incarnation != self._incarnation:
            return True
        self._asks = False
        self._sent = max(self._dropped, min(self._sent, message.number - 1))
        return message.number > self._dropped

    def take(self, now_ns: int, *, hold: bool = False) -> Sequence[Append]:
        """Return what is to be sent now; with ``hold`` nothing that can wait for a moment."""
        is_new = self._sent - self._dropped < len(self._records)
        if hold and is_new:
            self._held_ns = now_ns if self._held_ns is None else self._held_ns
            if now_ns < self._held_ns + HOLD_NS:
                return []
        self._held_ns = None
        if self._due_ns is not None and now_ns >= self._due_ns:
            self._sent = self._dropped
        messages = []
        while self._sent - self._dropped < len(self._records):
            start = self._sent - self._dropped
            part = tuple(self._records[start : start + BATCH])
            messages.append(
                Append(run=self._run, incarnation=self._incarnation, first=self._sent + 1, records=part)
            )
            self._sent += len(part)
        if not messages and self._asks and (self._due_ns is None or now_ns >= self._due_ns):
            messages = [
                Append(run=self._run, incarnation=self._incarnation, first=self._sent + 1, records=())
            ]
        if messages or (self._due_ns is not None and now_ns >= self._due_ns):
            self._due_ns = now_ns + RESEND_NS
        if not self._records and not self._asks:
            self._due_ns = None
        if not self._records:
            self._waits_ns = None
        elif self._waits_ns is None:
            self._waits_ns = now_ns
        return messages

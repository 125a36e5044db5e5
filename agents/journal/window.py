"""Which records of a journal are sent and which are acknowledged: cursor arithmetic, no files."""

from collections import deque
from itertools import islice


class Window:
    """Three cursors over the records 1, 2, 3 ... of one journal.

    ``acknowledged <= sent <= appended``.  ``sent`` goes back when the sink asks for a resend; ``reached`` is
    the furthest that it has been.  Memory: one integer for each record between acknowledged and reached,
    which the limits bound.

    Args:
        limit_bytes: Most bytes that may be in flight (sent and not acknowledged).
        limit_records: Most records that may be in flight.
        acknowledged: Number up to which an earlier life had everything acknowledged.
        appended: Last number that an earlier life appended.
        unacknowledged_bytes: Size of the records between these two.
    """

    def __init__(
        self,
        limit_bytes: int,
        limit_records: int,
        *,
        acknowledged: int = 0,
        appended: int = 0,
        unacknowledged_bytes: int = 0,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.limit_records = limit_records
        self.acknowledged = acknowledged
        self.sent = acknowledged
        self.appended = appended
        self.unacknowledged_bytes = unacknowledged_bytes
        self.in_flight_bytes = 0
        self._sizes: deque[int] = deque()  # of acknowledged + 1 ... reached

    @property
    def reached(self) -> int:
        """The highest number that was ever sent in this life, or acknowledged."""
        return self.acknowledged + len(self._sizes)

    @property
    def in_flight_records(self) -> int:
        """Records that are sent and not acknowledged."""
        return self.sent - self.acknowledged

    @property
    def is_shipped(self) -> bool:
        """Everything that was appended is acknowledged."""
        return self.acknowledged == self.appended

    def append(self, size_bytes: int) -> int:
        """Count one more record.  Returns its number."""
        self.appended += 1
        self.unacknowledged_bytes += size_bytes
        return self.appended

    def fits(self, records: int, size_bytes: int) -> bool:
        """Whether so much more may be in flight.  Into an empty window one record of any size fits."""
        if self.in_flight_records == 0 and records == 1:
            return True
        return (
            self.in_flight_records + records <= self.limit_records
            and self.in_flight_bytes + size_bytes <= self.limit_bytes
        )

    def send(self, size_bytes: int) -> int:
        """Move the cursor over the next record.  Returns its number.

        Args:
            size_bytes: The same that was said when the record was appended, and at every earlier send.
        """
        assert self.sent < self.appended, "nothing to send"
        if self.sent == self.reached:
            self._sizes.append(size_bytes)
        self.sent += 1
        self.in_flight_bytes += size_bytes
        return self.sent

    def acknowledge(self, number: int) -> None:
        """Everything up to ``number`` is stored.  Numbers from the past change nothing.

        Args:
            number: Not above ``reached``: the sizes of records that were never sent are not known here.
        """
        assert number <= self.reached, "acknowledged before it was sent"
        for _ in range(number - self.acknowledged):
            size_bytes = self._sizes.popleft()
            self.acknowledged += 1
            self.unacknowledged_bytes -= size_bytes
            if self.acknowledged <= self.sent:
                self.in_flight_bytes -= size_bytes
        self.sent = max(self.sent, self.acknowledged)

    def rewind(self, number: int) -> None:
        """Send from ``number`` on again, if it was sent and is not acknowledged."""
        self.sent = min(self.sent, max(number - 1, self.acknowledged))
        self.in_flight_bytes = sum(islice(self._sizes, self.in_flight_records))

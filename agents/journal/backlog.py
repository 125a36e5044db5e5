"""Records that are appended and wait in memory for a file: the disk is full, or takes nothing."""

from collections import deque

from agents.journal.ledger import Ledger
from agents.journal.limits import BACKLOG_BYTES
from agents.journal.segments import Segments
from agents.journal.transfer import REFUSALS
from fabric.errors import StoreError
from fabric.protocol.records import Record


class Backlog:
    """Between `Journal.append` and the segments; empty nearly always."""

    def __init__(self, segments: Segments, ledger: Ledger) -> None:
        self._segments = segments
        self._ledger = ledger
        self._records: deque[tuple[bytes, Record]] = deque()
        self._bytes = 0
        self.is_unread = False
        """Whether files could not be read or freed when that was tried last."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._records

    def check(self, body: bytes) -> None:
        """Refuse what would be too much.

        Raises:
            StoreError: If so much waits already.
        """
        if self._bytes + len(body) > BACKLOG_BYTES:
            raise StoreError(
                "journal: the disk takes nothing", hint="see the disk of the agent's state directory"
            )

    def add(self, body: bytes, record: Record) -> None:
        """Take a packed record; `write` follows."""
        self._records.append((body, record))
        self._bytes += len(body)

    def write(self) -> bool:
        """Write what waits.  Returns whether nothing waits any more."""
        while self._records:
            body, record = self._records[0]
            try:
                self._segments.append(body, self._ledger)
            except OSError as error:
                if error.errno not in REFUSALS:
                    raise
                return False
            self._ledger.note(record)
            self._records.popleft()
            self._bytes -= len(body)
        return True

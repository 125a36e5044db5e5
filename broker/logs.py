"""The record logs of the runs: opened when they are wanted, made durable by one helper thread."""

from collections.abc import Sequence

from broker.effects import LogState, Store
from broker.limits import MAX_LOGS
from fabric.errors import StoreError
from fabric.log import get_logger
from fabric.store.catalogue import Catalogue
from fabric.store.commit import GroupCommit
from fabric.store.entry import Entry
from fabric.store.record_log import RecordLog
from fabric.store.state import StateDirectory

log = get_logger()


class Logs:
    """Writes, reads and commits.  For the main thread; `fileno` becomes readable when commits have ended."""

    def __init__(self, state: StateDirectory, catalogue: Catalogue) -> None:
        self._state = state
        self._catalogue = catalogue
        self._logs: dict[str, RecordLog] = {}  # least recently used first
        self._commit: GroupCommit[str] = GroupCommit()
        self._unsubmitted: set[str] = set()
        self._under_way: set[str] = set()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._commit.fileno()

    def open(self, run: str) -> LogState:
        """Return what a run's log holds; all of it is durable, or is made so before it is acknowledged.

        Raises:
            StoreError: If it cannot be read.
        """
        opened = self._log(run)
        journals = {source: number - 1 for source, number in opened.cursors.items()}
        return LogState(opened.tail_number, journals)

    def reopen(self, run: str) -> LogState:
        """Look at what the disk really holds after a commit has failed.

        Raises:
            StoreError: If it cannot be read.
        """
        self._unsubmitted.discard(run)  # what it held is looked at, or sent again
        failed = self._logs.pop(run, None)
        if failed is not None:
            failed.close()
        return self.open(run)

    def write(self, store: Store) -> Entry:
        """Append an entry; readers see it at once.

        Raises:
            StoreError: If it cannot be written now, or the log has to be opened anew.
        """
        opened = self._log(store.run)
        if store.rows:
            self._catalogue.save_records(store.run, store.head.node, store.rows)
        entry = opened.append(store.head, store.batch, store.payload)
        self._unsubmitted.add(store.run)
        return entry

    def read(self, run: str, number: int, limit_bytes: int) -> Sequence[Entry]:
        """Return entries from the one with record ``number`` on.

        Raises:
            StoreError: If they cannot be read.
        """
        return self._log(run).read(number, limit_bytes)

    def last(self, run: str) -> int:
        """Return the number of a run's last record.

        Raises:
            StoreError: If the log cannot be read.
        """
        return self._log(run).tail_number

    def commit(self) -> None:
        """Have everything made durable that was written.

        A run whose commit is under way waits for it: the next one then covers all that came meanwhile.
        """
        for run in self._unsubmitted - self._under_way:
            self._unsubmitted.discard(run)
            self._under_way.add(run)
            self._commit.submit(run, self._logs[run])

    def committed(self) -> list[tuple[str, int, StoreError | None]]:
        """Return the commits that have ended: the run, its last durable number, and why it failed."""
        ended = self._commit.collect()
        for one in ended:
            self._under_way.discard(one.token)
        self.commit()
        return [(one.token, one.number - 1, one.error) for one in ended]

    def close(self) -> None:
        """Make everything durable that was written, and close the logs."""
        for run in self._unsubmitted:
            self._commit.submit(run, self._logs[run])
        self._unsubmitted.clear()
        for one in self._commit.close():
            if one.error is not None:
                log.error("commit_failed", run=one.token, error=str(one.error))
        for opened in self._logs.values():
            opened.close()
        self._logs.clear()

    def _log(self, run: str) -> RecordLog:
        opened = self._logs.pop(run, None)
        if opened is None:
            self._make_room()
            opened = RecordLog.open(self._state.records(run))
            if opened.cut is not None:
                log.warning("log_cut", run=run, cut=str(opened.cut))
        self._logs[run] = opened
        return opened

    def _make_room(self) -> None:
        if len(self._logs) < MAX_LOGS:
            return
        idle = (run for run, opened in self._logs.items() if not opened.dirty and run not in self._under_way)
        oldest = next(idle, None)
        if oldest is not None:
            self._logs.pop(oldest).close()

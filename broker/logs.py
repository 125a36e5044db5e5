"""The record logs of the runs: opened when they are wanted, made durable by one helper thread."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from broker.effects import LogState, Store
from broker.limits import MAX_LOGS
from broker.opener import Opener
from fabric.errors import StoreError
from fabric.log import get_logger
from fabric.store.catalogue import Catalogue
from fabric.store.commit import GroupCommit
from fabric.store.entry import Entry
from fabric.store.files import sync_directory, told
from fabric.store.record_log import RecordLog
from fabric.store.state import StateDirectory

log = get_logger()


class Logs:
    """Writes, reads and commits.  For the main thread; `fileno` becomes readable when commits have ended."""

    def __init__(self, state: StateDirectory, catalogue: Catalogue) -> None:
        self._state = state
        self._catalogue = catalogue
        self._logs: dict[str, RecordLog] = {}  # least recently used first
        self._opener = Opener()
        self._commit: GroupCommit[str] = GroupCommit()
        self._unsubmitted: dict[str, None] = {}  # who has waited longest first
        self._under_way: set[str] = set()
        self._was_refused = False

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._commit.fileno()

    def opener_fileno(self) -> int:
        """Return the descriptor to poll for reading: logs that were wanted are open."""
        return self._opener.fileno()

    def want(self, run: str) -> bool:
        """Say whether a log is open; else have it opened, and `opened` tells when that is done."""
        if run in self._logs or self._opener.is_done(run):
            return True
        self._opener.begin(run, self._state.records(run))
        return False

    def opened(self) -> list[str]:
        """Return the runs whose logs can be used now without waiting, or cannot be used at all."""
        return self._opener.done()

    def begin_delete(self, run: str) -> None:
        """Set a log aside: it is no run's any more.  `undo_delete` or `end_delete` follows.

        Raises:
            StoreError: If that cannot be done.
        """
        if run in self._under_way:  # a late record came just now
            raise StoreError(f"{run} is being written to", hint="try again in a moment")
        self._unsubmitted.pop(run, None)
        if run in self._opener:
            self._logs[run] = self._opener.take(run)
        opened = self._logs.pop(run, None)
        if opened is not None:
            opened.close()
        self._rename(self._state.records(run), self._state.deleted_records(run))

    def undo_delete(self, run: str) -> None:
        """Let a log be a run's again.

        Raises:
            StoreError: If that cannot be done.
        """
        self._rename(self._state.deleted_records(run), self._state.records(run))

    def end_delete(self, run: str) -> None:
        """Delete what was set aside, beside the main loop."""
        self._opener.delete(self._state.deleted_records(run))

    @staticmethod
    def _rename(old: Path, new: Path) -> None:
        with told(old):
            if old.exists():
                old.rename(new)
                sync_directory(new.parent)

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
        self._unsubmitted.pop(run, None)  # what it held is looked at, or sent again
        failed = self._logs.pop(run, None)
        if failed is not None:
            failed.close()
        return self.open(run)

    def size(self, run: str) -> int:
        """Return the bytes of a run's log on the disk.

        Raises:
            StoreError: If that cannot be looked up.
        """
        opened = self._logs.get(run)
        return RecordLog.size_of(self._state.records(run)) if opened is None else opened.size_bytes

    def save_rows(self, stores: Iterable[Store]) -> None:
        """Note in the catalogue what entries say that are to be written; comes before `write`.

        Raises:
            StoreError: If it refuses.
        """
        self._catalogue.save_batches((store.run, store.head.node, store.rows) for store in stores)

    def write(self, store: Store) -> Entry:
        """Append an entry; readers see it when it is durable.

        Raises:
            StoreError: If it cannot be written now, or the log has to be opened anew.
        """
        opened = self._log(store.run)
        entry = opened.append(store.head, store.batch, store.payload)
        self._unsubmitted[store.run] = None
        return entry

    def read(self, run: str, number: int, limit_bytes: int) -> Sequence[Entry]:
        """Return durable entries from the one with record ``number`` on.

        A loss of power may give the numbers of others to other records.

        Raises:
            StoreError: If they cannot be read.
        """
        opened = self._log(run)
        found = opened.read(number, limit_bytes)
        return [entry for entry in found if entry.next_number <= opened.durable_number]

    def durable(self, run: str) -> int:
        """Return the number of a run's last durable record.

        Raises:
            StoreError: If the log cannot be read.
        """
        return self._log(run).durable_number - 1

    def commit(self) -> None:
        """Have everything made durable that was written.

        A run whose commit is under way waits for it: the next one then covers all that came meanwhile.
        """
        for run in [run for run in self._unsubmitted if run not in self._under_way]:
            try:
                self._commit.submit(run, self._logs[run])
            except StoreError as error:  # no descriptor is left for it: the next turn tries again
                self._refused(error)
                return
            del self._unsubmitted[run]
            self._under_way.add(run)
        self._was_refused = False

    def _refused(self, error: StoreError) -> None:
        if not self._was_refused:  # once, not in each turn
            log.error("commit_waits", error=str(error), hint=error.hint)
        self._was_refused = True

    def committed(self) -> list[tuple[str, int, StoreError | None]]:
        """Return the commits that have ended: the run, its last durable number, and why it failed."""
        ended = self._commit.collect()
        for one in ended:
            self._under_way.discard(one.token)
        self.commit()
        return [(one.token, one.number - 1, one.error) for one in ended]

    def close(self) -> None:
        """Make everything durable that was written, and close the logs."""
        self.commit()
        for run in self._unsubmitted.keys() & self._under_way:
            self._commit.submit(run, self._logs[run])
        self._unsubmitted.clear()
        for one in self._commit.close():
            if one.error is not None:
                log.error("commit_failed", run=one.token, error=str(one.error))
        self._opener.close()
        for opened in self._logs.values():
            opened.close()
        self._logs.clear()

    def _log(self, run: str) -> RecordLog:
        opened = self._logs.pop(run, None)
        if opened is None:
            self._make_room()
            records = self._state.records(run)
            opened = self._opener.take(run) if run in self._opener else RecordLog.open(records)
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

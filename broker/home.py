"""What a broker has on disk, opened together and closed together."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from broker.effects import RunFacts
from broker.identity import Identity
from broker.logs import Logs
from fabric.clock import FabricClock, MonotonicClock, wall_ns
from fabric.errors import StoreError
from fabric.store.catalogue import Catalogue
from fabric.store.rows import StoredRun
from fabric.store.state import StateDirectory
from fabric.store.timebase import TimeBase, begin, monotonic_clock


@dataclass(slots=True, kw_only=True)
class Home:
    """A locked state directory with its catalogue, its logs and its identity."""

    state: StateDirectory
    catalogue: Catalogue
    logs: Logs
    identity: Identity
    epoch: int

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a state directory, or make one.

        Raises:
            FabricError: If another broker has it, or it cannot be used.
        """
        state = StateDirectory(directory)
        try:
            identity = Identity.load(directory)
            catalogue = Catalogue(state.catalogue)
        except BaseException:
            state.close()
            raise
        epoch = catalogue.next_epoch()
        logs = Logs(state, catalogue)
        for run in state.being_deleted():
            if catalogue.run(run) is None:
                logs.end_delete(run)
            else:
                logs.undo_delete(run)  # the row goes first, so nobody was told that it is deleted
        return cls(state=state, catalogue=catalogue, logs=logs, identity=identity, epoch=epoch)

    def open_runs(self) -> list[RunFacts]:
        """Return the runs to go on with.

        Raises:
            StoreError: If one of their logs cannot be read.
        """
        return [self._facts(stored) for stored in self.catalogue.open_runs()]

    def clock(self) -> FabricClock:
        """Return fabric time for this life, and leave for the next one what it goes by.

        Raises:
            StoreError: If the catalogue cannot be read.
        """
        directory = self.state.directory
        opened_ns = [stored.info.opened_ns for stored in self.catalogue.open_runs()]
        base = begin(
            TimeBase.load(directory), opened_ns, monotonic_clock(), wall_ns(), MonotonicClock().now_ns()
        )
        base.save(directory)
        return FabricClock(base.offset_ns)

    def find(self, run: str) -> RunFacts | None:
        """Return a run of the catalogue.

        Raises:
            StoreError: If the catalogue or the run's log cannot be read.
        """
        stored = self.catalogue.run(run)
        return None if stored is None else self._facts(stored)

    def erase(self, run: str) -> None:
        """Delete a closed run.  After a crash in between it is there with all its records, or not at all.

        Raises:
            StoreError: If that cannot be done; the run is there still.
        """
        self.logs.begin_delete(run)
        try:
            self.catalogue.delete_run(run)
        except StoreError:
            self.logs.undo_delete(run)
            raise
        self.logs.end_delete(run)

    def close(self) -> None:
        """Make everything durable and let go of the directory.  Safe to call twice."""
        self.logs.close()
        self.catalogue.close()
        self.state.close()

    def remove(self) -> None:
        """Close, and leave nothing on the disk."""
        self.close()
        shutil.rmtree(self.state.directory, ignore_errors=True)
        with suppress(OSError):
            self.state.directory.parent.rmdir()  # if nobody else is left in it

    def _facts(self, stored: StoredRun) -> RunFacts:
        return RunFacts(
            run=stored.info.run,
            name=stored.info.name,
            operator=stored.info.operator,
            nodes=stored.info.nodes,
            opened_ns=stored.info.opened_ns,
            lease_s=stored.lease_s,
            session=stored.session,
            verdict=stored.info.verdict,
            log=self.logs.open(stored.info.run),
        )

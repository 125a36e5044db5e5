"""The bundle: the directory that a run leaves, written while the run goes on."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fabric.controller.entry import Read
from fabric.errors import StoreError, UsageError
from fabric.protocol.names import StepId
from fabric.protocol.records import (
    FileBegun,
    FileChunk,
    FileEnded,
    FileMissing,
    Output,
    OutputDropped,
    StepFinished,
    Stream,
)
from fabric.report.eventfile import EventFile
from fabric.report.events import event_line, event_of, is_event, step_of
from fabric.report.files import FetchedFiles
from fabric.report.html import REPORT, render
from fabric.report.junit import junit_text
from fabric.report.manifest import MANIFEST, hash_file, manifest_text, sync, write_durably
from fabric.report.outputs import OutputFiles
from fabric.report.paths import stream_path
from fabric.report.places import Places
from fabric.report.tails import with_last_lines
from fabric.report.unfit import Unfit, UnfitRecord
from fabric.trial.model import TrialFile

EVENTS: Final = "events.jsonl"
TRIAL: Final = "trial.toml"
PLAN: Final = "plan.json"
RESULT: Final = "result.json"
JUNIT: Final = "junit.xml"
LATEST: Final = "latest"

_SYNC_EACH: Final = 500
"""With more files than this, syncing the whole machine once is faster than each of them."""


class BundleWriter:
    """Writes a bundle from the run's records, in their order.

    Memory stays flat whatever the steps print.  A bundle without MANIFEST.sha256 is one that was not
    finished: its controller was lost.  The run is on the broker too, where `fabric-tail` reads it.
    """

    def __init__(self, directory: Path) -> None:
        """Make the directory.

        Raises:
            UsageError: If it is there already: a bundle is never mixed with another one.
            StoreError: If it cannot be made.
        """
        self.directory = directory
        with _store_errors(directory):
            try:
                directory.mkdir(parents=True)
            except FileExistsError:
                raise UsageError(
                    f"{directory} exists already", hint="choose another directory with -o, or remove it"
                ) from None
            self._events = EventFile(directory / EVENTS)
        self._places = Places()
        self._outputs = OutputFiles(directory)
        self._files = FetchedFiles(directory)
        self._unfit = Unfit()
        self._own = [EVENTS, TRIAL, PLAN, RESULT, JUNIT, REPORT]
        self._origin_ns: int | None = None

    def write_inputs(self, trial: str, plan: str, files: Iterable[TrialFile] = ()) -> None:
        """Store the trial as it was read, the plan (JSON) that came of it, and what it was made of."""
        with _store_errors(self.directory):
            # newline="": the trial's line ends stay as they are
            (self.directory / TRIAL).write_text(trial, encoding="utf-8", newline="")
            (self.directory / PLAN).write_text(plan, encoding="utf-8")
            for file in files:
                path = self.directory / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
                self._own.append(file.name)

    def write(self, read: Read, run: str = "") -> None:
        """Add the run's next record.  One that does not fit those before it is set aside: see `take_unfit`.

        Args:
            read: The record.
            run: That it was taken over from; "" if it is the bundle's own.

        Raises:
            StoreError: If it cannot be written.
        """
        record = read.record
        if self._origin_ns is None:
            self._origin_ns = record.t_ns
        with _store_errors(self.directory):
            if isinstance(record, Output | OutputDropped | FileBegun | FileChunk | FileEnded | FileMissing):
                self._write_bytes(read, record)
            if not is_event(record):
                return
            event = event_of(read, self._origin_ns) | ({"run": run} if run else {})
            line = event_line(event)
            self._events.write(line.encode("utf-8", "replace"), self._places.of(read))

    def _write_bytes(
        self, read: Read, record: Output | OutputDropped | FileBegun | FileChunk | FileEnded | FileMissing
    ) -> None:
        step = step_of(record)
        if step is None:
            raise StoreError(f"record {read.number}: {record.kind} of no step")
        try:
            if isinstance(record, Output):
                self._outputs.write(read.node, step, record, read.data)
            elif isinstance(record, OutputDropped):
                self._outputs.skip(read.node, step, record)
            else:
                self._files.write(read.node, step, record, read.data)
        except UnfitRecord as error:
            if self._unfit.is_told(read.node, error):
                self._files.set_aside(read.node, step, error)

    def take_unfit(self) -> list[str]:
        """Return a sentence for each record that did not fit and was set aside, and is new."""
        return self._unfit.take()

    def output(self, node: str, end: StepFinished) -> dict[str, Path]:
        """Return where the streams of an attempt are, by their names; one that is empty may be missing."""
        streams: tuple[Stream, ...] = ("stdout", "stderr")
        step = StepId.parse(end.step)
        return {stream: self.directory / stream_path(node, step, end.attempt, stream) for stream in streams}

    def take_files(self, node: str, end: StepFinished) -> dict[str, Path]:
        """Return the files that an attempt brought, by their path on the node; once."""
        return self._files.take_whole(node, end.step, end.attempt)

    def flush(self) -> None:
        """Show what was written to whoever reads the bundle now."""
        with _store_errors(self.directory):
            self._events.flush()

    def finish(self, result: Mapping[str, Any], *, latest: bool = True) -> dict[str, Any]:
        """Write result.json, the reports and the manifest, and make all durable.  Blocks for the disk.

        Args:
            result: The content of result.json, without the last lines of failed steps.
            latest: Let ``latest`` beside the directory point to it.

        Returns:
            The content of result.json.

        Raises:
            StoreError: If it cannot be written.
        """
        with _store_errors(self.directory):
            self._outputs.close()
            self._files.finish()
            self._events.finish()
            result = with_last_lines(result, self.directory)
            text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
            write_durably(self.directory / RESULT, text)
            (self.directory / JUNIT).write_text(junit_text(result), encoding="utf-8")
            (self.directory / REPORT).write_text(render(result, self.directory), encoding="utf-8")
            digests = self._outputs.digests() | self._files.digests()
            for name in self._own:
                if (self.directory / name).exists():
                    digests[name] = hash_file(self.directory / name)
            _sync_tree(self.directory, digests)
            write_durably(self.directory / MANIFEST, manifest_text(digests))
            sync(self.directory.parent)
            if latest:
                point_latest(self.directory)
        return result

    def close(self) -> None:
        """Leave the bundle as it is.  Safe to call at any time, and after `finish`."""
        self._outputs.close()
        self._files.close()
        self._events.close()


def point_latest(directory: Path) -> None:
    """Let ``latest`` beside the directory point to it, at once: no moment is without it.

    Something of that name that is no link is somebody's own, and stays.

    Raises:
        OSError: If the link cannot be made.
    """
    link = directory.parent / LATEST
    if link.exists() and not link.is_symlink():
        return
    fresh = directory.parent / f".{LATEST}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(directory.name, target_is_directory=True)
    fresh.replace(link)


def _sync_tree(directory: Path, paths: Mapping[str, str]) -> None:
    """Make the files durable, and the directories that lead to them."""
    if len(paths) > _SYNC_EACH:
        os.sync()
        return
    for path in paths:
        sync(directory / path)
    for parent in sorted({parent for path in paths for parent in Path(path).parents}):
        sync(directory / parent)


@contextmanager
def _store_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or directory
        raise StoreError(f"cannot write the bundle: {where}: {error.strerror or error}") from error

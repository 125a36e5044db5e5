"""The files/ part of a bundle: what fetch brought, and missing.txt with what could not be had."""

import hashlib
import os
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from fabric.protocol.limits import MAX_PATH_CHARS, MAX_PATH_NAMES
from fabric.protocol.names import StepId
from fabric.protocol.records import FileBegun, FileChunk, FileEnded, FileMissing
from fabric.report.filenames import Names, file_path
from fabric.report.missing import MISSING, Missing, Source
from fabric.report.unfit import UnfitRecord
from fabric.trees import make_directories

if TYPE_CHECKING:
    from hashlib import _Hash

FileRecord = FileBegun | FileChunk | FileEnded | FileMissing

_OPEN_FILES: Final = 64
"""Most files that are open at once; a node sends the files of a step one after another."""

_MAX_BEGUN: Final = 1000
"""Most files of one node that are begun and not ended: it sends those of a step one after another."""

PATHS_BYTES: Final = 1 << 30
"""About how much memory the paths of one node's files may take in a run: that is a million of them."""

_KEPT_BYTES: Final = 500
"""What is kept of a file beside its name and its paths."""

Key = tuple[str, str, int, int]  # node, step, attempt, file


@dataclass(slots=True)
class _Fetched:
    """A file that is being written."""

    source: str  # on the node
    wanted: str  # path in the bundle, if no other file has it
    path: str  # in the bundle
    mode: int
    mtime_ns: int
    offset: int = 0
    digest: "_Hash" = field(default_factory=hashlib.sha256)


class FetchedFiles:
    """Writes fetched files and checks that they are what the nodes sent.

    Memory: two paths and a hash for each file, PATHS_BYTES for each node at most; the bytes pass through.
    """

    def __init__(
        self, directory: Path, *, open_files: int = _OPEN_FILES, paths_bytes: int = PATHS_BYTES
    ) -> None:
        """Write below ``directory``, the bundle's."""
        self._directory = directory
        self._open_files = open_files
        self._names = Names()
        self._paths_bytes = paths_bytes
        self._taken_bytes: Counter[str] = Counter()  # by node, of PATHS_BYTES
        self._begun: dict[Key, _Fetched] = {}
        self._begun_count: Counter[str] = Counter()  # by node
        self._open: OrderedDict[Key, FileIO] = OrderedDict()  # the one used last stands last
        self._digests: dict[str, str] = {}
        self._whole: dict[tuple[str, str, int], dict[str, Path]] = {}
        self._missing = Missing(directory)

    def write(self, node: str, step: StepId, record: FileRecord, data: bytes | memoryview) -> None:
        """Take the next record of a fetch.

        Raises:
            UnfitRecord: If it does not follow the one before, or the bytes are not those that the node read.
            OSError: If it cannot be written.
        """
        if isinstance(record, FileMissing):
            self._missing.add((node, str(step), record.path), record.why)
            return
        key = (node, record.step, record.attempt, record.file)
        if isinstance(record, FileBegun):
            self._begin(key, step, record)
            return
        fetched = self._begun.get(key)
        if fetched is None:
            raise UnfitRecord("files", f"file {record.file} of {step} on {node} was not begun")
        if isinstance(record, FileChunk):
            self._append(key, fetched, record, data)
        else:
            self._end(key, fetched, step, record)

    def set_aside(self, node: str, step: StepId, error: UnfitRecord) -> None:
        """Say in missing.txt what was not taken of a stream or a file."""
        self._missing.add((node, str(step), error.path), error.why)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file in hex, by its path in the bundle; call `finish` before."""
        return dict(self._digests)

    def take_whole(self, node: str, step: str, attempt: int) -> dict[str, Path]:
        """Return the files of an attempt that came whole, by their path on the node, and forget them."""
        return self._whole.pop((node, step, attempt), {})

    def finish(self) -> None:
        """Note the files whose end never came, and close everything."""
        for key, fetched in list(self._begun.items()):
            step = StepId.parse(key[1])
            self._leave(key, fetched, step, "", "its end was not reported")
        if digest := self._missing.finish():
            self._digests[MISSING] = digest
        self.close()

    def close(self) -> None:
        """Close all files.  What is written stays."""
        while self._open:
            self._open.popitem()[1].close()
        self._missing.close()

    # --- one file ---------------------------------------------------------------------------------------

    def _begin(self, key: Key, step: StepId, record: FileBegun) -> None:
        if key in self._begun:
            raise UnfitRecord("files", f"file {record.file} of {step} on {key[0]} was begun twice")
        self._check_limits(key[0], record.path)
        wanted = file_path(key[0], step, record.path)
        before = self._names.cost_bytes
        fetched = _Fetched(record.path, wanted, self._names.take(wanted), record.mode, record.mtime_ns)
        cost_bytes = _KEPT_BYTES + 2 * len(wanted) + len(record.path) + self._names.cost_bytes - before
        self._taken_bytes[key[0]] += cost_bytes
        self._begun[key] = fetched
        self._begun_count[key[0]] += 1
        self._file(key, fetched)

    def _check_limits(self, node: str, path: str) -> None:
        """Check that a node may have one more file.

        Raises:
            UnfitRecord: If it may not.
        """
        if len(path) > MAX_PATH_CHARS or _count_names(path) > MAX_PATH_NAMES:
            most = f"{MAX_PATH_NAMES} names or {MAX_PATH_CHARS} letters"
            raise UnfitRecord("files", f"the path of a file has more than {most}: {path:.80}...")
        if self._begun_count[node] >= _MAX_BEGUN:
            raise UnfitRecord("files", f"more than {_MAX_BEGUN} files of {node} are begun and not ended")
        if self._taken_bytes[node] >= self._paths_bytes:
            raise UnfitRecord(
                "files", f"the paths of the files of {node} take more than {self._paths_bytes} bytes"
            )

    def _append(self, key: Key, fetched: _Fetched, record: FileChunk, data: bytes | memoryview) -> None:
        if record.offset != fetched.offset or record.size != len(data):
            got = f"{len(data)} bytes at {record.offset}"
            self._refuse(key, fetched, f"expected {record.size} bytes at {fetched.offset}, got {got}")
        file = self._file(key, fetched)
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) or 0 :]
        fetched.digest.update(data)
        fetched.offset += len(data)

    def _end(self, key: Key, fetched: _Fetched, step: StepId, record: FileEnded) -> None:
        digest = fetched.digest.hexdigest()
        if record.size != fetched.offset or record.sha256 not in ("", digest):
            self._refuse(
                key,
                fetched,
                f"it is not what {key[0]} read: {fetched.offset} bytes, SHA-256 {digest:.12}...; "
                f"it read {record.size} bytes, SHA-256 {record.sha256:.12}...",
            )
        self._leave(key, fetched, step, digest, record.problem)

    def _refuse(self, key: Key, fetched: _Fetched, why: str) -> NoReturn:
        """Keep what has come of a file as a part, and say what does not fit."""
        self._leave(key, fetched, StepId.parse(key[1]), "", why)
        raise UnfitRecord(fetched.path, why)

    def _leave(self, key: Key, fetched: _Fetched, step: StepId, digest: str, problem: str) -> None:
        """Close a file; one that is not whole is called so."""
        del self._begun[key]
        self._begun_count[key[0]] -= 1
        file = self._open.pop(key, None)
        if file is not None:
            file.close()
        target, source = self._directory / fetched.path, (key[0], str(step), fetched.source)
        if not problem:
            self._remove_parts(source)
        if not problem and fetched.path != fetched.wanted and self._digests.get(fetched.wanted) == digest:
            target.unlink()  # a metric and a fetch, or two attempts, brought the same bytes
            self._names.give_back(fetched.path)
            return
        if problem:
            self._names.give_back(fetched.path)  # it may come again, and whole
            fetched.path = self._names.take(fetched.path + "~partial")
            target = target.rename(self._directory / fetched.path)
            why = f"{problem}; {fetched.offset} bytes of it are in {fetched.path}"
            self._missing.add(source, why, fetched.path)
        else:
            self._whole.setdefault(key[:3], {})[fetched.source] = target
        target.chmod(fetched.mode & 0o755 | 0o600)
        _set_mtime(target, fetched.mtime_ns)
        self._digests[fetched.path] = digest or fetched.digest.hexdigest()

    def _file(self, key: Key, fetched: _Fetched) -> FileIO:
        file = self._open.get(key)
        if file is None:
            if len(self._open) >= self._open_files:
                self._open.popitem(last=False)[1].close()
            target = self._directory / fetched.path
            make_directories(target.parent)
            file = self._open[key] = FileIO(target, "a", opener=_private)
        self._open.move_to_end(key)
        return file

    def _remove_parts(self, source: Source) -> None:
        """A later try of a step has brought the whole: nobody wants the half of it any more."""
        for path in self._missing.take_back(source):
            (self._directory / path).unlink(missing_ok=True)
            self._names.give_back(path)
            del self._digests[path]


def _count_names(path: str) -> int:
    return sum(1 for name in path.split("/") if name)


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner may read until its own mode is known to be whole."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _set_mtime(path: Path, mtime_ns: int) -> None:
    if 0 < mtime_ns < 1 << 62:
        os.utime(path, ns=(mtime_ns, mtime_ns))

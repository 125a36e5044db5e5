"""One put: files that the controller has, pulled part by part, checked, and moved to their places."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.journal.transfer import FULL
from agents.transfers.fetch import Progress, size_text
from agents.transfers.full_disk import FullDisk
from agents.transfers.limits import FILE_COST_BYTES, READ_BYTES
from agents.transfers.pull import Pull
from agents.transfers.walk import in_the_way
from fabric.private import make_private
from fabric.protocol.messages import FilePart, FileRequest, FileSource
from fabric.trees import make_directories, real_path

if TYPE_CHECKING:
    from hashlib import _Hash

Send = Callable[[FileRequest], bool]

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Here:
    """A file that was put, as it was left."""

    path: Path
    identity: tuple[int, ...]


@dataclass(slots=True)
class Stock:
    """What this node has got of a run's files, by SHA-256: nothing comes twice.

    A file that was changed since is known by its times, and pulled again.
    """

    run: str
    node: str
    parts: Path
    """Directory for what is not whole yet."""

    here: dict[str, Here] = field(default_factory=dict)
    pulling: set[str] = field(default_factory=set)
    closed: int = 0  # files that came, or did not
    names: Iterator[int] = field(default_factory=lambda: iter(range(1 << 60)))


@dataclass(slots=True)
class _Incoming:
    """The file that is being made."""

    source: FileSource
    target: Path
    part: Path
    place: Path  # the target, by a way to it that nobody can turn elsewhere
    place_fd: int  # -1: there is no need for one
    fd: int
    pull: Pull
    digest: "_Hash" = field(default_factory=hashlib.sha256)
    copied_from: int = -1  # descriptor of a local file, instead of the controller's


class Put:
    """Makes the files of a step, one after another.

    Args:
        stock: What the node has of the run.
        base: The step's directory.
        sources: What is wanted.
        send: Asks the controller; False if that is not possible now.
        why_not: Says why a real path must not be written; "" if it may.  None: any may.
        shared: The run's directory, if others than the agent's user can make links in it.
    """

    def __init__(
        self,
        stock: Stock,
        base: Path,
        sources: tuple[FileSource, ...],
        send: Send,
        *,
        why_not: Callable[[str], str] | None = None,
        shared: Path | None = None,
    ) -> None:
        self.problem = ""
        self.full_disk: FullDisk | None = None
        self._stock = stock
        self._base = base
        self._sources = sources
        self._send = send
        self._why_not = why_not
        self._shared = shared
        self._next = 0
        self._incoming: _Incoming | None = None

    @property
    def failed(self) -> bool:
        """Whether not all files are there."""
        return bool(self.problem)

    @property
    def deadline_ns(self) -> int | None:
        """When it asks again."""
        return self._incoming.pull.deadline_ns if self._incoming is not None else None

    def message(self) -> str:
        """Say in a few words what was done."""
        count = len(self._sources)
        size = size_text(sum(source.size for source in self._sources))
        return self.problem or f"put {count} file{'' if count == 1 else 's'}, {size}"

    def work(self, limit_bytes: int, now_ns: int) -> Progress:
        """Go on, about so much; ask for what is missing."""
        try:
            while limit_bytes > 0 and not self.problem:
                if self._incoming is None:
                    if self._next >= len(self._sources):
                        return "done"
                    if not self._begin(self._sources[self._next]):
                        return "waits"
                    limit_bytes -= FILE_COST_BYTES
                elif self._incoming.pull.is_complete:
                    self._finish(self._incoming)
                elif self._incoming.copied_from >= 0:
                    limit_bytes -= self._copy(self._incoming)
                elif self._incoming.pull.is_given_up(now_ns):
                    self.problem = f"{self._incoming.target}: nobody sends the file"
                    self._drop()
                else:
                    self._ask(self._incoming, now_ns)
                    return "waits"
        except OSError as error:
            self._fail(error.filename or self._base, error)
        return "done" if self.problem else "more"

    def take(self, message: FilePart, now_ns: int) -> None:
        """Take bytes that came; those that nobody waits for change nothing."""
        incoming = self._incoming
        if incoming is None or incoming.copied_from >= 0 or incoming.source.sha256 != message.sha256:
            return
        if message.sentence:
            self._drop()
            self.problem = message.sentence
        elif incoming.pull.take(message.offset, len(message.data), now_ns):
            try:
                self._write(incoming, message.data, message.offset)
            except OSError as error:
                self._fail(incoming.target, error)

    def stop(self) -> None:
        """Leave it as it is."""
        self._drop()
        self.problem = self.problem or "it was ended before it was done"

    # --- one file ---------------------------------------------------------------------------------------

    def _begin(self, source: FileSource) -> bool:
        """Open the next file; False while another step gets the same one."""
        stock = self._stock
        copied_from = self._open_here(source)
        if copied_from < 0 and source.sha256 in stock.pulling:
            return False
        target = self._base / source.path
        with _about(target):
            self._check(real_path(target.parent), target)
            _make_directory(target.parent)
            is_checked = self._why_not is not None or self._shared is not None
            place_fd = os.open(target.parent, os.O_PATH | os.O_DIRECTORY) if is_checked else -1
            try:
                place, part, fd = self._open(target, place_fd)
            except OSError:
                _close_all(place_fd, copied_from)
                raise
        pull = Pull(source.size)
        self._incoming = _Incoming(source, target, part, place, place_fd, fd, pull, copied_from=copied_from)
        if copied_from < 0:
            stock.pulling.add(source.sha256)
        return True

    def _open(self, target: Path, place_fd: int) -> tuple[Path, Path, int]:
        """Return the file's place, and where it is made with a descriptor of that."""
        place = target
        if place_fd >= 0:
            place = Path(f"/proc/self/fd/{place_fd}") / target.name
            self._check(os.fspath(place.parent.readlink()), target)  # a link may have come in between
        if kind := in_the_way(place):
            raise OSError(0, f"it is {kind} there")
        part = self._part(place)
        return place, part, os.open(part, _NEW, 0o600)

    def _check(self, directory: str, target: Path) -> None:
        """Look at where a target's directory really is."""
        if self._why_not is not None and (why := self._why_not(f"{directory.rstrip('/')}/{target.name}")):
            raise OSError(0, why)
        if self._shared is not None and _is_below(os.path.normpath(target.parent), self._shared):
            real = os.path.realpath(self._shared)
            if not _is_below(directory, Path(real)):
                raise OSError(
                    0, f"a step's user can make the link that leads to {directory}: name that as `dir`"
                )

    def _part(self, target: Path) -> Path:
        """Return where the file is made: it has to be on the same file system to take its place at once."""
        stock = self._stock
        make_private(stock.parts)
        if stock.parts.stat().st_dev == target.parent.stat().st_dev:
            return stock.parts / str(next(stock.names))
        return target.with_name(f".fabric-{stock.run[-4:]}-{next(stock.names)}.part")

    def _open_here(self, source: FileSource) -> int:
        """Open a file of this content that an earlier step has got; -1 if there is none."""
        here = self._stock.here.get(source.sha256)
        if here is None:
            return -1
        try:
            fd = os.open(here.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return -1
        if _identity(os.fstat(fd)) == here.identity:
            return fd
        os.close(fd)
        return -1

    def _copy(self, incoming: _Incoming) -> int:
        data = os.read(incoming.copied_from, READ_BYTES)
        if data:
            self._write(incoming, data, incoming.pull.received)
            incoming.pull.received += len(data)
        if not data or incoming.pull.received > incoming.source.size:
            self._forget(incoming.source)  # it was changed just now: have it from the controller
        return len(data)

    def _ask(self, incoming: _Incoming, now_ns: int) -> None:
        for offset, size in incoming.pull.asks(now_ns):
            self._send(self._request(incoming.source, offset, size))

    def _request(self, source: FileSource, offset: int, size: int) -> FileRequest:
        return FileRequest(
            run=self._stock.run, node=self._stock.node, sha256=source.sha256, offset=offset, size=size
        )

    def _write(self, incoming: _Incoming, data: bytes, offset: int) -> None:
        incoming.digest.update(data)
        rest = memoryview(data)
        with _about(incoming.target):
            while rest:
                written = os.pwrite(incoming.fd, rest, offset)
                rest, offset = rest[written:], offset + written

    def _finish(self, incoming: _Incoming) -> None:
        """Move a file that is whole to its place."""
        source = incoming.source
        if incoming.digest.hexdigest() != source.sha256:
            if incoming.copied_from >= 0:
                self._forget(source)
                return
            self._drop()
            self.problem = f"{incoming.target}: the bytes that came are not those of the file"
            return
        with _about(incoming.target):
            os.fchmod(incoming.fd, source.mode & 0o777)
            incoming.part.rename(incoming.place)
            status = os.fstat(incoming.fd)
        self._stock.here[source.sha256] = Here(incoming.target, _identity(status))
        if incoming.copied_from < 0:
            self._send(self._request(source, source.size, 0))  # the controller may serve others
        self._close(incoming)
        self._next += 1

    def _forget(self, source: FileSource) -> None:
        """Begin the file anew, from the controller."""
        self._stock.here.pop(source.sha256, None)
        self._drop()

    def _drop(self) -> None:
        incoming = self._incoming
        if incoming is not None:
            self._close(incoming)
            with suppress(OSError):
                incoming.part.unlink()

    def _close(self, incoming: _Incoming) -> None:
        self._incoming = None
        self._stock.closed += 1
        _close_all(incoming.fd, incoming.place_fd, incoming.copied_from)
        if incoming.copied_from < 0:
            self._stock.pulling.discard(incoming.source.sha256)

    def _fail(self, path: str | Path, error: OSError) -> None:
        self._drop()
        self.problem = f"cannot write {path}: {error.strerror or error}"
        if error.errno in FULL:
            self.full_disk = FullDisk(str(Path(path).parent), str(path))


def _make_directory(directory: Path) -> None:
    """Make a directory, with those above it; say which name on the way to it is no directory's."""
    try:
        make_directories(directory)
    except (FileExistsError, NotADirectoryError):
        other = next((one for one in (directory, *directory.parents) if os.path.lexists(one)), directory)
        if other.is_dir():
            raise
        raise OSError(0, f"{other} is no directory") from None


def _is_below(path: str, directory: Path) -> bool:
    return path == str(directory) or path.startswith(f"{directory}/")


def _close_all(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return what tells whether a file is as it was left."""
    assert stat.S_ISREG(status.st_mode)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Let errors name the file that is wanted, not the one that is made first."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise

"""Hands the files of a run's puts to the nodes that ask for them."""

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from fabric.controller.handout import Handout
from fabric.controller.sources import LocalFile
from fabric.protocol.messages import FilePart, FileRequest

OPEN_FILES: Final = 16
"""Most files that are kept open between two parts."""

TURN_PARTS: Final = 16
"""Most parts that are read and sent in one turn of the loop: 4 MiB, some milliseconds."""


class FileServer:
    """Answers requests for files that were hashed before the run began.

    Args:
        run: Whose nodes may ask.
        files: By SHA-256.
        send: Say something to the broker; False if that is not possible now, then the node asks again.
    """

    def __init__(self, run: str, files: Mapping[str, LocalFile], send: Callable[[FilePart], bool]) -> None:
        self._run = run
        self._files = files
        self._send = send
        self._handout = Handout()
        self._open: OrderedDict[str, int] = OrderedDict()  # the one used last stands last

    @property
    def deadline_ns(self) -> int | None:
        """When `work` has something to do; 0: at once."""
        return self._handout.deadline_ns

    def ask(self, request: FileRequest) -> None:
        """Take a request; `work` answers it."""
        if request.run == self._run:
            self._handout.ask(request)

    def work(self, now_ns: int) -> None:
        """Answer some of those that wait."""
        for _ in range(TURN_PARTS):
            request = self._handout.take(now_ns)
            if request is None:
                return
            self._send(self._answer(request))

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _answer(self, request: FileRequest) -> FilePart:
        data, sentence = b"", ""
        file = self._files.get(request.sha256)
        if file is None:
            sentence = "the controller has no such file"
        else:
            try:
                data = self._read(file, request)
            except OSError as error:
                sentence = f"{file.path} cannot be read any more: {error.strerror or error}"
            else:
                sentence = "" if data else f"{file.path} was changed since the run began"
        return FilePart(
            run=request.run,
            node=request.node,
            sha256=request.sha256,
            offset=request.offset,
            data=data,
            sentence=sentence,
        )

    def _read(self, file: LocalFile, request: FileRequest) -> bytes:
        """Return the bytes, none if they are not those any more that were hashed."""
        fd = self._fd(file)
        data = os.pread(fd, request.size, request.offset)
        whole = len(data) == request.size
        return data if whole and file.is_as_it_was(os.fstat(fd)) else b""

    def _fd(self, file: LocalFile) -> int:
        fd = self._open.get(file.sha256)
        if fd is None:
            if len(self._open) >= OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            fd = self._open[file.sha256] = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        self._open.move_to_end(file.sha256)
        return fd

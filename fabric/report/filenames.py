"""PURE.  Where a fetched file goes in a bundle: its name comes from a node, so nothing is believed."""

import hashlib
from typing import Final

from fabric.errors import StoreError
from fabric.protocol.names import NODE, StepId

NAME_BYTES: Final = 200
"""Longest name of a file or directory in a bundle: file systems take 255, and a suffix may be added."""

PATH_BYTES: Final = 2000
"""Longest path in a bundle: the system takes 4096, and the bundle's own directory stands before it."""

_KEPT: Final = 150
_LONG: Final = "long-paths"


def file_path(node: str, step: StepId, path: str) -> str:
    """Return the path in the bundle: ``files/2.3/lab1/tmp/etcd/a.log``.

    Raises:
        StoreError: If the node's name could lead out of the bundle.
    """
    if not NODE.fullmatch(node):
        raise StoreError(f"a file of {step}: {node!r:.80} is not the name of a node")
    names = [_safe(name) for name in path.split("/") if name not in ("", ".")] or ["unnamed"]
    below = "/".join(names)
    if len(below.encode()) > PATH_BYTES:
        below = f"{_LONG}/{_digest(below)}-{names[-1]}"
    return f"files/{step.repeat_id}/{node}/{below}"


def _safe(name: str) -> str:
    """Return a name that is only a name: not the way up, on one line, and not too long."""
    if not name.strip("."):
        return name.replace(".", "%2E")
    plain = "".join(
        letter if letter.isprintable() and letter != "\\" else _escaped(letter) for letter in name
    )
    raw = plain.encode("utf-8", "replace")
    if len(raw) <= NAME_BYTES:
        return raw.decode()
    return f"{raw[:_KEPT].decode('utf-8', 'ignore')}-{_digest(name)}"


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "replace"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


class Names:
    """Gives every file a path of its own, also where the bundle is copied to a disk that ignores case."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._directories: set[str] = set()

    def take(self, path: str) -> str:
        """Return the path, or one with ``~2``, ``~3`` ... behind a name that another file has."""
        names = path.split("/")
        for depth in range(1, len(names)):
            names[depth - 1] = self._free(names[: depth - 1], names[depth - 1], is_file=False)
        names[-1] = self._free(names[:-1], names[-1], is_file=True)
        return "/".join(names)

    def give_back(self, path: str) -> None:
        """Let another file have a path that was taken."""
        self._files.discard(path.casefold())

    def _free(self, parents: list[str], name: str, *, is_file: bool) -> str:
        count, tried = 1, name
        while True:
            key = "/".join((*parents, tried)).casefold()
            if key not in self._files and (not is_file or key not in self._directories):
                (self._files if is_file else self._directories).add(key)
                return tried
            count += 1
            tried = f"{name}~{count}"

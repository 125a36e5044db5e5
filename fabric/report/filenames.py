"""PURE.  Where a fetched file goes in a bundle: its name comes from a node, so nothing is believed."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from fabric.errors import StoreError
from fabric.protocol.names import NODE, StepId

NAME_BYTES: Final = 200
"""Longest name of a file or directory in a bundle: file systems take 255, and a suffix may be added."""

PATH_BYTES: Final = 2000
"""Longest path in a bundle: the system takes 4096, and the bundle's own directory stands before it."""

FILE_BYTES: Final = 250
DIRECTORY_BYTES: Final = 600
"""What the name of a file or a directory takes of memory, beside its letters; measured, and rounded up."""

_DIGITS: Final = 10
"""Numbers behind names have fewer."""

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


@dataclass(slots=True)
class _Numbers:
    """What was given for one name that several want: ``~2``, ``~3`` ...; nothing is tried twice."""

    next: int = 2
    returned: dict[int, None] = field(default_factory=dict)
    directory: int = 2  # that the directories of this name have, or the first that may be free for them

    def take(self) -> int:
        """Return a number that nobody may have."""
        if self.returned:
            return self.returned.popitem()[0]
        self.next += 1
        return self.next - 1


@dataclass(slots=True)
class _Directory:
    """What is in a directory, by its name without case; None: a file."""

    names: "dict[str, _Directory | None]" = field(default_factory=dict)
    numbers: dict[str, _Numbers] | None = None

    def numbers_of(self, key: str) -> _Numbers:
        """Return those of a name."""
        if self.numbers is None:
            self.numbers = {}
        return self.numbers.setdefault(key, _Numbers())


class Names:
    """Gives every file a path of its own, also where the bundle is copied to a disk that ignores case.

    However many want the same one, each costs the same.
    """

    def __init__(self) -> None:
        self.cost_bytes = 0
        """About how much memory all that was ever taken needs; what is given back is not taken off."""
        self._top = _Directory()

    def take(self, path: str) -> str:
        """Return the path, or one with ``~2``, ``~3`` ... behind a name that another file has."""
        names = path.split("/")
        place = self._top
        for depth, name in enumerate(names[:-1]):
            names[depth], place = self._enter(place, name)
        names[-1] = self._add(place, names[-1])
        return "/".join(names)

    def give_back(self, path: str) -> None:
        """Let another file have a path that was taken."""
        *parents, name = path.casefold().split("/")
        place: _Directory | None = self._top
        for parent in parents:
            place = place and place.names.get(parent)
        if place is None or place.names.get(name, place) is not None:
            return
        del place.names[name]
        wanted, _, number = name.rpartition("~")
        numbers = (place.numbers or {}).get(wanted)
        if (
            numbers is not None
            and number.isdecimal()
            and len(number) < _DIGITS
            and 1 < int(number) < numbers.next
        ):
            numbers.returned[int(number)] = None

    def _enter(self, place: _Directory, name: str) -> tuple[str, _Directory]:
        """Return the name that a directory has, and what is in it."""
        key = name.casefold()
        if key in place.names and place.names[key] is None:
            numbers = place.numbers_of(key)
            while place.names.get(f"{key}~{numbers.directory}", place) is None:
                numbers.directory += 1
            key, name = f"{key}~{numbers.directory}", f"{name}~{numbers.directory}"
        below = place.names.get(key)
        if below is None:
            below = place.names[key] = _Directory()
            self.cost_bytes += DIRECTORY_BYTES + len(name)
        return name, below

    def _add(self, place: _Directory, name: str) -> str:
        """Return the name that a file has."""
        key, number = name.casefold(), 0
        while (tried := f"{key}~{number}" if number else key) in place.names:
            number = place.numbers_of(key).take()
        place.names[tried] = None
        self.cost_bytes += FILE_BYTES + len(name)
        return f"{name}~{number}" if number else name

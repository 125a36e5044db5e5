"""missing.txt in a bundle: what could not be had of the files that were to be fetched."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Final

MISSING: Final = "missing.txt"

Source = tuple[str, str, str]  # node, step, path on the node

_MAX_CUT: Final = 1000
"""Most files of one node of which a part has come, and that may come again; of more the lines stay."""


class Missing:
    """A line for each thing: node, step, path or pattern, why.  There is no file while there are none.

    A file that was cut short may come whole by a later try of its step: then it is not missing any more.
    """

    def __init__(self, directory: Path) -> None:
        """Write into ``directory``, the bundle's."""
        self._path = directory / MISSING
        self._file: FileIO | None = None
        self._lines = 0
        self._cut: dict[Source, dict[int, str]] = {}  # by number of the line: path in the bundle
        self._cut_count: Counter[str] = Counter()  # by node
        self._void: set[int] = set()  # lines that are not true any more

    def add(self, source: Source, why: str, part: str = "") -> None:
        """Note what is missing; ``part`` is the path in the bundle of what has come of it."""
        if self._file is None:
            self._file = FileIO(self._path, "w")
        _write(self._file, (*source, why))
        if part and self._cut_count[source[0]] < _MAX_CUT:
            self._cut_count[source[0]] += 1
            self._cut.setdefault(source, {})[self._lines] = part
        self._lines += 1

    def take_back(self, source: Source) -> list[str]:
        """A file has come whole; return the paths in the bundle of the parts that are of no use now."""
        cut = self._cut.pop(source, {})
        self._cut_count[source[0]] -= len(cut)
        self._void.update(cut)
        return list(cut.values())

    def finish(self) -> str:
        """Leave the lines that are true; return the SHA-256 of the file in hex, "" if there is none."""
        self.close()
        if self._lines == len(self._void):
            self._path.unlink(missing_ok=True)
            return ""
        if self._void:
            self._leave_out()
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def close(self) -> None:
        """Close the file.  What is written stays."""
        if self._file is not None:
            self._file.close()

    def _leave_out(self) -> None:
        fresh = self._path.with_name(MISSING + "~new")
        with self._path.open("rb") as old, fresh.open("wb") as new:
            new.writelines(line for number, line in enumerate(old) if number not in self._void)
        fresh.replace(self._path)


def _write(file: FileIO, words: Sequence[str]) -> None:
    rest = memoryview("\t".join(map(_on_one_line, words)).encode("utf-8", "replace") + b"\n")
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _on_one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)

"""Where the keys and values of a TOML text stand, found by the standard library alone.

`tomllib` reads the values but forgets their places; trials find them with tree-sitter, which a node does not
have to install.  `tomllib` has taken the text before: this pass checks nothing and only looks for places.
"""

import bisect
import re
import tomllib
from typing import Final, NamedTuple

from fabric.tomltext import TOKEN

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value in what `tomllib` returns: ``("agent", "labels", 0)``."""

_ENDS: Final = frozenset("\n,]}")


class Place(NamedTuple):
    """A stretch of one line.  Lines and columns count from 1, in characters; the end is behind the last."""

    line: int
    col: int
    end_col: int


class Places:
    """The places of one text, whose lines end in LF.  What is not found is looked up in its parent."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        walk = _Walk(text)
        self._keys, self._values = walk.keys, walk.values

    def key(self, path: Path) -> Place:
        """Return where a key or a header stands; for an item of a list, the item."""
        return self._nearest(self._keys, path)

    def value(self, path: Path) -> Place:
        """Return where a value stands; for a table with a header, its header."""
        return self._nearest(self._values, path)

    def line(self, number: int) -> str:
        """Return the text of a line, "" behind the end."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def _nearest(self, places: dict[Path, tuple[int, int]], path: Path) -> Place:
        for length in range(len(path), 0, -1):
            if path[:length] in places:
                return self._place(*places[path[:length]])
        return Place(1, 1, 2)

    def _place(self, start: int, end: int) -> Place:
        line = bisect.bisect_right(self._starts, start)
        begins = self._starts[line - 1]
        end_col = min(end - begins, len(self._lines[line - 1])) + 1  # a longer value is shown by its begin
        return Place(line, start - begins + 1, end_col)


class _Walk:
    """One pass over the text from left to right."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, tuple[int, int]] = {}
        self.values: dict[Path, tuple[int, int]] = {}
        self._lengths: dict[Path, int] = {}  # of the arrays of tables
        self._tokens = [one for one in TOKEN.finditer(text) if one.lastgroup != "comment"]
        self._at = 0
        table: Path = ()
        while self._next():
            if self._next() == "\n":
                self._at += 1
            elif self._next() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> str:
        """Return the text of the next token, "" at the end."""
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _header(self) -> Path:
        depth = 0
        while self._next() == "[":
            depth, self._at = depth + 1, self._at + 1
        path = self._key((), "]")
        while self._next() == "]":
            self._at += 1
        if depth == 1:
            return self._current(path)
        index = self._lengths[path] = self._lengths.get(path, -1) + 1
        self.keys[*path, index] = self.values[*path, index] = self.keys[path]
        return (*path, index)

    def _pair(self, table: Path) -> None:
        path = self._key(table, "=")
        self._at += 1
        self._value(path)

    def _key(self, base: Path, end: str) -> Path:
        """Read the parts of a key up to ``end``, and note each of them."""
        while self._next() not in (end, "\n", ""):
            token = self._tokens[self._at]
            for name, start, stop in _parts(token):
                base = (*self._current(base), name)
                self.keys.setdefault(base, (start, stop))
                self.values.setdefault(base, (start, stop))
            self._at += 1
        return base

    def _current(self, path: Path) -> Path:
        """A name below an array of tables means its last table."""
        return (*path, self._lengths[path]) if path in self._lengths else path

    def _value(self, path: Path) -> None:
        if self._at >= len(self._tokens):
            return
        start = self._tokens[self._at].start()
        if self._next() == "[":
            self._list(path)
        elif self._next() == "{":
            self._table(path)
        else:
            while self._next() and self._next() not in _ENDS:  # a date and its time are two
                self._at += 1
        self.values[path] = (start, self._tokens[self._at - 1].end())

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._next() not in ("]", ""):
            if self._next() in ("\n", ","):
                self._at += 1
                continue
            item = (*path, index)
            self._value(item)
            self.keys[item] = self.values[item]
            index += 1
        self._at += 1

    def _table(self, path: Path) -> None:
        self._at += 1
        while self._next() not in ("}", ""):
            if self._next() in ("\n", ","):
                self._at += 1
            else:
                self._pair(path)
        self._at += 1


def _parts(token: re.Match[str]) -> list[tuple[str, int, int]]:
    """Return the parts of a dotted key that are in one token, with their places."""
    if token.lastgroup == "text":
        return [(tomllib.loads(f"key = {token[0]}")["key"], token.start(), token.end())]
    start = token.start()
    return [(part[0], start + part.start(), start + part.end()) for part in re.finditer(r"[^.]+", token[0])]

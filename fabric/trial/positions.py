"""Where the keys and values of a TOML text stand: `tomllib` reads the values but forgets their places.

A second pass with tree-sitter finds the places.  A place is known by the path of keys and list indices
that leads to the value in what `tomllib` returns: ``("run", "client", 0, "timeout")``.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Path = tuple[str | int, ...]

_LANGUAGE: Final = Language(tree_sitter_toml.language())
_KEYS: Final = ("bare_key", "quoted_key")


class Span(NamedTuple):
    """A stretch of text.  Lines and columns count from 1, in characters; the end is behind the last one."""

    line: int
    col: int
    end_line: int
    end_col: int


@dataclass(frozen=True, slots=True)
class Clash:
    """A key that is defined a second time, which `tomllib` refuses without saying where the first one is."""

    path: Path
    second: Span
    first: Span


class Positions:
    """The places of one text.  Every question has an answer: what is not found is looked up in its parent."""

    def __init__(self, text: str) -> None:
        # tree-sitter wants the newline at the end that TOML does not ask for.
        self._lines = [line.encode() for line in text.split("\n")]
        walk = _Walk(Parser(_LANGUAGE).parse((text + "\n").encode()).root_node)
        self._keys, self._values, self._clashes = walk.keys, walk.values, walk.clashes

    def key(self, path: Path) -> Span:
        """Return where the key (or the header) of a value stands; for an item of a list, the item."""
        return self._nearest(self._keys, path)

    def value(self, path: Path) -> Span:
        """Return where a value stands; for a table with a header, its name in the header."""
        return self._nearest(self._values, path)

    def within(self, path: Path, needle: str) -> Span:
        """Return where a value's text contains ``needle``, or else where the value stands."""
        span = self.value(path)
        for number in range(span.line, span.end_line + 1):
            line = self.line(number)
            start = line.find(needle, span.col - 1 if number == span.line else 0)
            if start >= 0:
                return Span(number, start + 1, number, start + 1 + len(needle))
        return span

    def part(self, path: Path, text: str, start: int, end: int) -> Span:
        """Return where the characters ``start`` to ``end`` of a value stand, whose text this is.

        Without a place of their own, as in a text with escapes, it is the value's.
        """
        span = self.value(path)
        first = span.col  # behind the quote, from 0
        if text and self.line(span.line)[first : first + len(text)] == text and start <= end <= len(text):
            return Span(span.line, first + start + 1, span.line, first + max(end, start + 1) + 1)
        return span

    def line(self, number: int) -> str:
        """Return the text of a line, "" behind the end."""
        return self._lines[number - 1].decode() if 0 < number <= len(self._lines) else ""

    def paths(self) -> frozenset[Path]:
        """Return the paths of all values that were found."""
        return frozenset(self._values)

    def clashes(self) -> list[Clash]:
        """Return the keys that are defined twice, in the order of the text."""
        return [Clash(path, self._span(second), self._span(first)) for path, second, first in self._clashes]

    def _nearest(self, places: dict[Path, Node], path: Path) -> Span:
        for length in range(len(path), 0, -1):
            if path[:length] in places:
                return self._span(places[path[:length]])
        return Span(1, 1, 1, 1)

    def _span(self, node: Node) -> Span:
        (row, byte), (end_row, end_byte) = node.start_point, node.end_point
        return Span(row + 1, self._col(row, byte), end_row + 1, self._col(end_row, end_byte))

    def _col(self, row: int, byte: int) -> int:
        """Turn a byte of a line into a column; only now, as most places are never asked for."""
        line = self._lines[row] if row < len(self._lines) else b""
        return len(line[:byte].decode(errors="replace")) + 1


class _Walk:
    """One pass over the tree, in the order of the text."""

    def __init__(self, root: Node) -> None:
        self.keys: dict[Path, Node] = {}
        self.values: dict[Path, Node] = {}
        self.clashes: list[tuple[Path, Node, Node]] = []
        self._lengths: dict[Path, int] = {}  # of the arrays of tables
        self._headed: set[Path] = set()  # tables that had a header of their own
        for node in root.named_children:
            if node.type == "pair":
                self._pairs((), [node])
            elif parts := _header(node):
                is_array = node.type == "table_array_element"
                table = self._array_item(parts) if is_array else self._table(parts)
                self._pairs(table, node.named_children)

    def _table(self, parts: list[Node]) -> Path:
        path = self._enter((), parts)
        first = self.keys.get(path)
        if first is not None and (
            path in self._headed or path in self._lengths or not _is_header_part(first)
        ):
            self.clashes.append((path, parts[-1], first))
        self._headed.add(path)
        self._note(path, parts[-1])
        return self._current(path)

    def _array_item(self, parts: list[Node]) -> Path:
        path = self._enter((), parts)
        if path in self.keys and path not in self._lengths:
            self.clashes.append((path, parts[-1], self.keys[path]))
        index = self._lengths[path] = self._lengths.get(path, -1) + 1
        self._note(path, parts[-1])
        self._note((*path, index), parts[-1])
        return (*path, index)

    def _pairs(self, table: Path, nodes: list[Node]) -> None:
        """Note key-value pairs; with a stack, for values nest as deep as a file likes."""
        stack = [(table, node) for node in reversed(nodes) if node.type == "pair"]
        while stack:
            base, pair = stack.pop()
            value = _value(pair)
            parts = list(_key_parts(pair.named_children[0])) if pair.named_children else []
            if not parts or value is None:
                continue  # a broken pair; tomllib has said so
            path = self._enter(base, parts)
            if path in self.keys:
                self.clashes.append((path, parts[-1], self.keys[path]))
            self.keys.setdefault(path, parts[-1])
            self.values.setdefault(path, value)
            stack.extend(reversed(self._inside(path, value)))

    def _inside(self, path: Path, value: Node) -> list[tuple[Path, Node]]:
        """Note the items of a list; return the pairs of all inline tables in a value."""
        pairs: list[tuple[Path, Node]] = []
        stack = [(path, value)]
        while stack:
            base, node = stack.pop()
            if node.type == "inline_table":
                pairs += [(base, child) for child in node.named_children if child.type == "pair"]
            elif node.type == "array":
                items = [child for child in node.named_children if child.type != "comment"]
                for index, item in enumerate(items):
                    self.keys[*base, index] = self.values[*base, index] = item
                    stack.append(((*base, index), item))
        return pairs

    def _enter(self, base: Path, parts: list[Node]) -> Path:
        """Return the path of a dotted key; its tables come into being by being named."""
        for part in parts[:-1]:
            base = (*base, _key_text(part))
            self._note(base, part)
            base = self._current(base)
        return (*base, _key_text(parts[-1]))

    def _current(self, path: Path) -> Path:
        """A header below an array of tables means its last table."""
        return (*path, self._lengths[path]) if path in self._lengths else path

    def _note(self, path: Path, part: Node) -> None:
        self.keys.setdefault(path, part)
        self.values.setdefault(path, part)


def _header(node: Node) -> list[Node]:
    """Return the parts of the name of a table; none if the text is broken there."""
    names = [child for child in node.named_children if child.type in ("dotted_key", *_KEYS)]
    return list(_key_parts(names[0])) if names else []


def _value(pair: Node) -> Node | None:
    values = [child for child in pair.named_children[1:] if child.type != "comment"]
    return values[0] if values else None


def _is_header_part(node: Node) -> bool:
    parent = node.parent
    while parent is not None and parent.type == "dotted_key":
        parent = parent.parent
    return parent is not None and parent.type != "pair"


def _key_parts(node: Node) -> Iterator[Node]:
    """Yield the parts of a key from left to right; dotted keys lean to the left."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node.type in _KEYS:
            yield node
        elif node.type == "dotted_key":
            stack.extend(reversed(node.named_children))


def _key_text(node: Node) -> str:
    raw = (node.text or b"").decode()
    if node.type == "bare_key":
        return raw
    try:
        text: str = tomllib.loads(f"key = {raw}")["key"]
    except tomllib.TOMLDecodeError:
        return raw  # tomllib refuses the file too
    return text

"""Documents, written as TOML in all the ways in which a person may write them."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

_BARE = "abcXYZ019_-"
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_KEYS = st.one_of(st.text(_BARE, min_size=1, max_size=4), st.text("a. \"'=#é日\\", max_size=4), _TEXT)
_ZONES = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-7, minutes=-30))])
_SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.dates(dt.date(1000, 1, 1)),
    st.times(),
    st.datetimes(dt.datetime(1000, 1, 1), timezones=_ZONES),  # noqa: DTZ001 - local ones are TOML too
    _TEXT,
    st.text("ab'\"\\\n# =", max_size=8),
)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(_KEYS, inner, max_size=3),
        st.lists(st.dictionaries(_KEYS, inner, max_size=2), min_size=1, max_size=3),
    ),
    max_leaves=12,
)


@st.composite
def toml_texts(draw: Draw) -> str:
    """Return a text with lines that end in LF, or all in CRLF."""
    document = draw(st.dictionaries(_KEYS, _DOCUMENTS, max_size=4))
    lines = _Writer(draw).table((), document)
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


class _Writer:
    """Writes tables as headers, dotted keys or inline, whatever is drawn."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def table(self, path: tuple[str, ...], table: dict[str, Any]) -> list[str]:
        """Return the pairs of a table, and below them the tables in it that have headers of their own."""
        pairs, headers = [], []
        for key, value in table.items():
            is_array = isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
            if (is_array or isinstance(value, dict)) and self._one_of(True, False):
                headers += self._headers((*path, key), value)
            elif isinstance(value, dict) and value and self._one_of(True, False):
                pairs += self._dotted((key,), value)
            else:
                pairs.append(self._pair((key,), value))
        return [line for one in pairs + headers for line in (*self._noise(), one)]

    def _headers(self, path: tuple[str, ...], value: Any) -> list[str]:
        is_array = isinstance(value, list)
        lines = []
        for one in value if is_array else [value]:
            space, name = self._space(), self._dots(path)
            header = f"[[{space}{name}{space}]]" if is_array else f"[{space}{name}{space}]"
            lines += [self._space() + header + self._end(), *self.table(path, one)]
        return lines

    def _dotted(self, path: tuple[str, ...], table: dict[str, Any]) -> list[str]:
        lines = []
        for key, value in table.items():
            if isinstance(value, dict) and value and self._one_of(True, False):
                lines += self._dotted((*path, key), value)
            else:
                lines.append(self._pair((*path, key), value))
        return lines

    def _pair(self, path: tuple[str, ...], value: Any) -> str:
        before = self._space() + self._dots(path) + self._space()
        return f"{before}={self._space()}{self._value(value)}{self._end()}"

    def _dots(self, path: tuple[str, ...]) -> str:
        return f"{self._space()}.{self._space()}".join(map(self._key, path))

    def _key(self, key: str) -> str:
        if key and set(key) <= set(_BARE) and self._one_of(True, False):
            return key
        return self._one_line(key)

    def _value(self, value: Any, *, inline: bool = False) -> str:
        """Return a value; ``inline`` within a table in braces, which stands on one line."""
        match value:
            case bool():
                return str(value).lower()
            case str():
                return self._text(value)
            case int():
                return self._integer(value)
            case float():
                short = f"{value:e}"
                return str(self._one_of(repr(value), short if float(short) == value else repr(value)))
            case list():
                items = [self._value(one, inline=inline) for one in value]
                between = self._one_of(", ", "," if inline else ",\n # comma, ]\n")
                return f"[{between.join(items)}{self._one_of('', ',' if items else '')}{self._space()}]"
            case dict():
                pairs = (f"{self._key(key)} = {self._value(one, inline=True)}" for key, one in value.items())
                return "{" + self._space() + ", ".join(pairs) + self._space() + "}"
            case dt.datetime():
                return value.isoformat(self._one_of("T", " "))
            case _:
                return str(value.isoformat())

    def _integer(self, value: int) -> str:
        if value < 0:
            return str(value)
        return str(self._one_of(str(value), f"+{value}", f"{value:_}", hex(value), oct(value), bin(value)))

    def _text(self, text: str) -> str:
        if self._one_of(True, False):
            return self._one_line(text)
        is_plain = all(char.isprintable() or char == "\n" for char in text)
        if is_plain and "'''" not in text and not text.endswith("'") and self._one_of(True, False):
            return f"'''\n{text}'''"
        escaped = "".join(char if char == "\n" else _escape(char) for char in text)
        return f'"""\n{escaped}"""'

    def _one_line(self, text: str) -> str:
        if text.isprintable() and "'" not in text and self._one_of(True, False):
            return f"'{text}'"
        return '"' + "".join(map(_escape, text)) + '"'

    def _space(self) -> str:
        return str(self._one_of("", " ", "\t"))

    def _end(self) -> str:
        return str(self._one_of("", " # [a] b = 'c' {", "#é日"))

    def _noise(self) -> list[str]:
        return list(self._one_of([], [""], ["  # x = 1"]))

    def _one_of(self, *options: Any) -> Any:
        return self._draw(st.sampled_from(options))


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else f"\\U{ord(char):08x}"

"""PURE.  Many names in few words: ``lab1 lab2 lab3 sut`` is ``lab[1-3],sut``.

What comes out can be given back as a list of node specs: each has one range of numbers at most.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

V = TypeVar("V")

_DIGITS: Final = re.compile(r"([0-9]+)")


Key = tuple[tuple[str | int, ...], str]


def natural(name: str) -> Key:
    """Return the key that sorts ``lab9`` before ``lab10``."""
    parts: list[str | int] = list(_DIGITS.split(name))
    parts[1::2] = map(int, parts[1::2])  # texts and numbers in turn
    return tuple(parts), name  # the name itself tells lab1 from lab01


def fold(names: Iterable[str]) -> list[str]:
    """Return the names in order, consecutive numbers as a range: ``["lab[1-3]", "lab7", "gen[001-100]"]``.

    Names that differ in one number only are put together, in the number that makes the fewest ranges.
    Numbers of different width stay apart where a range could not say it: ``lab[08-12]`` is lab08 to lab12.
    """
    alike: dict[str, list[str]] = {}
    for name in sorted(set(names), key=natural):
        alike.setdefault(_DIGITS.sub("0", name), []).append(name)
    found: list[tuple[Key, str]] = []
    for similar in alike.values():
        numbers = len(_DIGITS.findall(similar[0]))
        ways = [_ranges(similar, place) for place in reversed(range(numbers))]
        best = min(ways, key=len) if ways else [(natural(similar[0]), similar[0])]
        found += best
    return [text for _, text in sorted(found)]


def folded(names: Iterable[str], *, limit: int = 0) -> str:
    """Return the names as one text, ``lab[1-97],sut``.

    Args:
        names: In any order; a name that comes twice counts once.
        limit: Most characters, 0 for all; what does not fit is counted: ``lab[1-3],+12``.
    """
    wanted = set(names)
    text = ",".join(fold(wanted))
    if not limit or len(text) <= limit:
        return text
    if len(wanted) == 1:
        return f"{text[: limit - 1]}…"  # as much of its name as there is room for
    specs = fold(wanted)
    for kept in range(len(specs) - 1, 0, -1):
        rest = len(wanted) - sum(map(_size, specs[:kept]))
        text = f"{','.join(specs[:kept])},+{rest}"
        if len(text) <= limit:
            return text
    return f"{len(wanted)} nodes"[:limit]


def group(items: Mapping[str, V], key: Callable[[V], Hashable]) -> Iterator[tuple[tuple[str, ...], V]]:
    """Yield the names whose values have the same key, and the first of these values.

    Groups come in the order of their first name in ``items``, the names in a group too.
    """
    groups: dict[Hashable, list[str]] = {}
    for name, value in items.items():
        groups.setdefault(key(value), []).append(name)
    for names in groups.values():
        yield tuple(names), items[names[0]]


def _ranges(names: list[str], place: int) -> list[tuple[Key, str]]:
    """Fold names of one form in their number at ``place``; each result with the key that sorts it."""
    split = [_DIGITS.split(name) for name in names]
    widths = {len(parts[2 * place + 1]) for parts in split if _is_padded(parts[2 * place + 1])}
    columns: dict[tuple[str, str, int], list[int]] = {}
    for parts in split:
        digits = parts[2 * place + 1]
        before, after = "".join(parts[: 2 * place + 1]), "".join(parts[2 * place + 2 :])
        columns.setdefault((before, after, _width(digits, widths)), []).append(int(digits))
    return [
        (natural(f"{before}{low:0{width}}{after}"), f"{before}{_range(low, high, width)}{after}")
        for (before, after, width), numbers in columns.items()
        for low, high in _stretches(sorted(numbers))
    ]


def _is_padded(digits: str) -> bool:
    return len(digits) > 1 and digits.startswith("0")


def _width(digits: str, widths: set[int]) -> int:
    """Return to how many digits this number's range is padded: that of a zero before it or a neighbour."""
    if _is_padded(digits):
        return len(digits)
    return max((width for width in widths if width <= len(digits)), default=1)


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int]]:
    low = high = numbers[0]
    for number in numbers[1:]:
        if number != high + 1:
            yield low, high
            low = number
        high = number
    yield low, high


def _range(low: int, high: int, width: int) -> str:
    return f"{low:0{width}}" if low == high else f"[{low:0{width}}-{high:0{width}}]"


def _size(spec: str) -> int:
    """Return how many names a spec of `fold` has."""
    match = re.search(r"\[([0-9]+)-([0-9]+)\]", spec)
    return int(match[2]) - int(match[1]) + 1 if match else 1

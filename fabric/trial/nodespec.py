"""Node specs, the texts that say which nodes play a role.

::

    specs   = spec { "," spec }             as on a command line: lab1, lab[4-6]
    spec    = [ count "of" ] pool           3 of @etcd, all of @load
    count   = number | "all"
    pool    = term { "&" term }             @gpu & !@flaky
    term    = { "!" } ( "@" label | names )
    names   = lab1 | lab[1-4] | lab[01-16] | lab[1-3,7] | rack[1-2]-n[1-4]

A pool that is not just names means all of it: ``@gpu & !@flaky`` is ``all of @gpu & !@flaky``.  What a text
means depends on the nodes that there are; here it is only read.  `$names` have been expanded before.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

from fabric.protocol.names import NODE, WORD

MAX_NODES: Final = 2000
"""Most nodes of a trial.  All their names in one variable have to fit into Linux' 128 KiB for one string."""

MAX_SPEC_CHARS: Final = 64 * 1024
"""Longest text of a spec: all nodes of the largest trial, one by one."""

_MAX_TERMS: Final = 100  # of one pool
_MAX_COUNT_CHARS: Final = 9

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<sign>[,&!@])|(?P<word>(?:[A-Za-z0-9._-]|\[[^\[\]]*\])+)|(?P<wrong>\S))", re.ASCII
)
_BRACKET: Final = re.compile(r"\[([^\[\]]*)\]")
_ITEM: Final = re.compile(r"\s*(?P<low>[0-9]{1,9})(?:-(?P<high>[0-9]{1,9}))?\s*", re.ASCII)
_NAME_HINT: Final = (
    "a name has letters, digits, `.`, `_` and `-`, at most 63, and begins with a letter or digit"
)


class SpecError(ValueError):
    """A spec is wrong.

    ``start`` and ``end`` are the characters of the text that are.  ``later`` is set if the text is right
    where any spec may stand, but not where only names may.
    """

    def __init__(
        self, message: str, hint: str = "", *, start: int = 0, end: int | None = None, later: bool = False
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.start = start
        self.end = start if end is None else end
        self.later = later


@dataclass(frozen=True, slots=True)
class Names:
    """These nodes, in this order."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """The nodes that bear a label."""

    label: str


@dataclass(frozen=True, slots=True)
class Not:
    """The nodes that the term does not mean."""

    term: Names | Label


@dataclass(frozen=True, slots=True)
class Both:
    """The nodes that each of the terms means."""

    terms: tuple["Term", ...]


Term = Names | Label | Not
Pool = Term | Both


@dataclass(frozen=True, slots=True)
class Some:
    """So many nodes of a pool, any of them; all of them without a count."""

    count: int | None
    pool: Pool
    text: str  # as written


Part = Names | Some


def parse(text: str) -> tuple[Part, ...]:
    """Return the parts of a spec, whose nodes together it means.

    Raises:
        SpecError: If it is none, or names too many nodes.
    """
    if len(text) > MAX_SPEC_CHARS:
        raise SpecError(f"longer than the limit of {MAX_SPEC_CHARS} characters", end=len(text))
    return _Parser(text).specs()


def expand(spec: str) -> tuple[str, ...]:
    """Return the nodes of a spec that can only have names and ranges, in order.

    Raises:
        SpecError: If it is no such spec, or names too many nodes.
    """
    hint = 'name the nodes: "lab1" or "lab[1-4]"'
    if "$" in spec:
        raise SpecError(f"`{spec}` does not name nodes", hint, end=len(spec), later=True)
    names: list[str] = []
    for part in parse(spec):
        if isinstance(part, Some):
            raise SpecError(f"`{part.text}` does not name nodes", hint, end=len(spec), later=True)
        names += part.names
    return tuple(names)


def needs_lab(parts: Iterable[Part]) -> bool:
    """Whether the parts mean nodes that only a broker can tell."""
    return any(isinstance(part, Some) and not is_named(part.pool) for part in parts)


def is_named(pool: Pool) -> bool:
    """Whether names alone say which nodes a pool has: no label, and not all but some."""
    terms = pool.terms if isinstance(pool, Both) else (pool,)
    said = [term.term if isinstance(term, Not) else term for term in terms]
    return not any(isinstance(term, Label) for term in said) and any(
        isinstance(term, Names) for term in terms
    )


# --- reading ------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str  # sign, word or end
    text: str
    start: int
    end: int


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while match := _TOKEN.match(text, position):
        kind = match.lastgroup or ""
        if kind == "wrong":
            raise _wrong_character(text, match.start(kind))
        yield _Token(kind, match[kind], match.start(kind), match.end(kind))
        position = match.end()
    yield _Token("end", "", len(text), len(text))


def _wrong_character(text: str, at: int) -> SpecError:
    character = text[at]
    hints = {
        "[": "a bracket is not closed: lab[1-4]",
        "]": "a bracket was not opened: lab[1-4]",
        ";": "put a comma between nodes, or write a list",
        "|": "put a comma between specs, or write a list",
        "*": "name a range, lab[1-9], or give the nodes a label: @lab",
        "?": "name a range, lab[1-9], or give the nodes a label: @lab",
        "$": "write $$ only for a dollar; $name is a variable of [matrix]",
        "%": "write a number, as in 3 of @load; [trial] quorum lets a part of the nodes be missing",
        "(": "there are no brackets; `&` and `!` stand before a label",
    }
    return SpecError(
        f"`{character}` cannot stand in a node spec", hints.get(character, _NAME_HINT), start=at, end=at + 1
    )


class _Parser:
    """Reads a text from left to right; one token is looked at ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._rest = list(_tokens(text))[::-1]
        self._end = 0  # of what was taken last
        self._room = MAX_NODES

    def specs(self) -> tuple[Part, ...]:
        parts = [self._spec()]
        while self._next.text == ",":
            self._take()
            parts.append(self._spec())
        if self._next.kind != "end":
            raise self._unexpected()
        return tuple(parts)

    @property
    def _next(self) -> _Token:
        return self._rest[-1]

    def _take(self) -> _Token:
        token = self._rest.pop()
        self._end = token.end
        return token

    def _spec(self) -> Part:
        start = self._next.start
        counted, count = self._count()
        pool = self._pool()
        if isinstance(pool, Names) and not counted:
            return pool
        return Some(count, pool, self._text[start : self._end])

    def _count(self) -> tuple[bool, int | None]:
        """Return whether there is a count, and which one; None for all."""
        if len(self._rest) < 2 or self._rest[-2].text != "of" or self._next.kind != "word":  # noqa: PLR2004
            return False, None
        token = self._take()
        self._take()
        if token.text == "all":
            return True, None
        if token.text.isdecimal() and len(token.text) <= _MAX_COUNT_CHARS and int(token.text):
            return True, int(token.text)
        hint = (
            "write 1 of ..." if token.text in ("any", "one", "a") else "write 3 of @label, or all of @label"
        )
        raise SpecError(f"`{token.text}` is no number of nodes", hint, start=token.start, end=token.end)

    def _pool(self) -> Pool:
        start = self._next.start
        terms = [self._term()]
        while self._next.text == "&":
            self._take()
            terms.append(self._term())
            if len(terms) > _MAX_TERMS:
                raise SpecError(f"more than {_MAX_TERMS} terms", start=start, end=self._next.start)
        return terms[0] if len(terms) == 1 else Both(tuple(terms))

    def _term(self) -> Term:
        negated = False
        while self._next.text == "!":
            self._take()
            negated = not negated
        term = self._label() if self._next.text == "@" else self._names()
        return Not(term) if negated else term

    def _label(self) -> Label:
        sign = self._take()
        token = self._next
        if token.kind != "word" or token.start != sign.end or not WORD.fullmatch(token.text):
            hint = "a label is one word of letters, digits, `.`, `_` and `-`: @gpu"
            raise SpecError(
                "there is no label behind `@`", hint, start=sign.start, end=max(sign.end, token.end)
            )
        self._take()
        return Label(token.text)

    def _names(self) -> Names:
        if self._next.kind != "word":
            raise self._unexpected()
        names = _names_of(self._take(), self._room)
        self._room -= len(names)
        return Names(names)

    def _unexpected(self) -> SpecError:
        token = self._next
        words = self._text.split()
        if token.kind == "end":
            message = "a node or a label is missing at the end" if self._text.strip() else "it names no node"
            return SpecError(
                message, 'like "lab1", "lab[1-4]" or "3 of @label"', start=token.start, end=token.end
            )
        if token.kind == "word" and all(map(NODE.fullmatch, words)):
            listed = ", ".join(f'"{word}"' for word in words)
            hint = f"write a list: [{listed}]"
        elif token.text == "of":
            hint = "write 3 of @label, or all of @label"
        else:
            hint = "put `,` between specs and `&` between what has to hold together"
        return SpecError(f"`{token.text}` is not expected here", hint, start=token.start, end=token.end)


def _names_of(token: _Token, room: int) -> tuple[str, ...]:
    """Return the names that a word with or without brackets stands for."""
    if "[" not in token.text:
        return (_node(token.text, token),)
    pieces: list[list[str]] = []
    position, count = 0, 1
    for bracket in _BRACKET.finditer(token.text):
        pieces.append([token.text[position : bracket.start()]])
        at = token.start + bracket.start() + 1
        numbers = list(_numbers(bracket[1], at, token, room // count))
        count *= len(numbers)
        pieces.append(numbers)
        position = bracket.end()
    pieces.append([token.text[position:]])
    return tuple(_node("".join(parts), token) for parts in product(*pieces))


def _numbers(inside: str, at: int, token: _Token, room: int) -> Iterator[str]:
    """Yield the numbers of a bracket that begins at ``at``, as texts; at most ``room``."""
    for written in inside.split(","):
        item = _ITEM.fullmatch(written)
        if item is None:
            raise SpecError(
                f"`[{inside}]` is no range of numbers",
                'write numbers and ranges, as in "lab[1-4]" or "lab[1-3,7]"',
                start=at,
                end=at + len(written),
            )
        low, high = int(item["low"]), int(item["high"] or item["low"])
        if low > high:
            hint = f"write [{item['high']}-{item['low']}]"
            raise SpecError(
                f"the range `{written.strip()}` runs backwards", hint, start=at, end=at + len(written)
            )
        if high - low >= room:
            message = f"`{token.text:.80}` takes the trial over the limit of {MAX_NODES} nodes"
            raise SpecError(message, start=token.start, end=token.end)
        room -= high - low + 1
        width = len(item["low"])
        yield from (str(number).zfill(width) for number in range(low, high + 1))
        at += len(written) + 1


def _node(name: str, token: _Token) -> str:
    if NODE.fullmatch(name):
        return name
    raise SpecError(
        f"`{name:.80}` cannot be the name of a node", _NAME_HINT, start=token.start, end=token.end
    )

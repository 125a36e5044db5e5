"""The places that tree-sitter finds, held against the values that tomllib reads."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from fabric.trial.positions import Positions, Span
from tests.unit.toml_texts import toml_texts

ROOT = Path(__file__).parents[2]
TRIALS = sorted((ROOT / "configs" / "trials").glob("*.toml"))

TANGLED = '''a.b."c d" = "x"
[trial] # a comment
name = """
two "quoted" lines"""
[[run.client]]
cmd=["é日", 'b', [1, # a comment
 2]]
ready = { port = 1, x.y = {} } # { }
[[run.client.deep]]
t=1979-05-27 07:32:00
[run.client.z]
u=07:32:00
[[run.client]]
'sin.gle' . "\\u00e9"=1
[run.client.z]
k=+1e3
[run.q]
[[run.client.deep]]
f=-inf'''


def values(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every value of a document with its path."""
    if path:
        yield path, value
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from values(inner, (*path, key))


def cut(text: str, span: Span) -> str:
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_col - 1]
    lines[0] = lines[0][span.col - 1 :]
    return "\n".join(lines)


def assert_passes_agree(text: str) -> None:
    """Check that both passes find the same values, and that each place holds its value."""
    found = dict(values(tomllib.loads(text)))
    text = text.replace("\r\n", "\n")  # as the reader does
    positions = Positions(text)
    assert positions.paths() == found.keys()
    assert positions.clashes() == []
    for path, value in found.items():
        if isinstance(path[-1], str):
            key = cut(text, positions.key(path))
            assert list(tomllib.loads(f"{key} = 0")) == [path[-1]]
        if not isinstance(value, dict | list):
            assert tomllib.loads(f"v = {cut(text, positions.value(path))}")["v"] == value


@pytest.mark.parametrize("file", TRIALS, ids=lambda file: file.stem)
def test_the_passes_agree_on_the_examples(file: Path) -> None:
    """Two parsers read a trial; an error would stand in the wrong place if they disagreed."""
    assert_passes_agree(file.read_text())


def test_the_passes_agree_on_a_tangled_text() -> None:
    """Dotted keys, quoted keys, tables below arrays of tables, comments and several bytes to a character."""
    assert_passes_agree(TANGLED)


@given(toml_texts())
def test_the_passes_agree_on_any_text(text: str) -> None:
    """What people will write is not known beforehand: all forms of keys, tables, values, comments, lines."""
    assert_passes_agree(text)


def test_a_role_is_placed_in_its_header() -> None:
    """The example of docs/trial-format.md: the caret stands under the role, not under the line."""
    positions = Positions("[trial]\n\n[[startup.sever]]\n")
    assert positions.key(("startup", "sever")) == Span(3, 11, 3, 16)
    assert positions.key(("startup", "sever", 0)) == Span(3, 11, 3, 16)


def test_what_is_not_there_is_placed_at_its_table() -> None:
    """A missing key has no place of its own."""
    positions = Positions("[trial]\nrepeat = 3\n")
    assert positions.key(("trial", "name")) == Span(1, 2, 1, 7)
    assert positions.key(("nodes",)) == Span(1, 1, 1, 1)


def test_a_name_is_found_inside_of_a_text_of_several_lines() -> None:
    """A typo in a script of twenty lines is pointed at, not the script."""
    positions = Positions('cmd = """\necho\necho é $typo"""\n')
    assert positions.within(("cmd",), "$typo") == Span(3, 8, 3, 13)
    assert positions.within(("cmd",), "$other") == Span(1, 7, 3, 16)


@pytest.mark.parametrize(
    ("text", "path", "second", "first"),
    [
        ("[a]\nx = 1\nx = 2", ("a", "x"), 3, 2),
        ("[a]\n[b]\n[a]", ("a",), 3, 1),
        ("[run]\nc = 'x'\n[[run.c]]", ("run", "c"), 3, 2),
        ("[[run.c]]\n[run]\nc = 'x'", ("run", "c"), 3, 1),
        ("[[run.c]]\n[run.c]", ("run", "c"), 2, 1),
        ("[run.c]\n[[run.c]]", ("run", "c"), 2, 1),
    ],
)
def test_a_key_that_is_defined_twice_is_found(
    text: str, path: tuple[str, ...], second: int, first: int
) -> None:
    """`tomllib` says only that something cannot be overwritten."""
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    (clash,) = Positions(text).clashes()
    assert (clash.path, clash.second.line, clash.first.line) == (path, second, first)


def test_a_part_of_a_text_has_its_place() -> None:
    """The caret stands below what is wrong inside a value, or below all of it where that cannot be told."""
    places = Positions('a = "lab[4-1]"\nb = ["x", \'y z\']\nc = "\\u0061b"\nd = """\nab"""\n')
    assert places.part(("a",), "lab[4-1]", 4, 7) == (1, 10, 1, 13)
    assert places.part(("a",), "lab[4-1]", 8, 8) == (1, 14, 1, 15)  # the closing quote
    assert places.part(("b", 1), "y z", 2, 3) == (2, 14, 2, 15)
    assert places.part(("c",), "ab", 1, 2) == places.value(("c",))
    assert places.part(("d",), "ab", 1, 2) == places.value(("d",))

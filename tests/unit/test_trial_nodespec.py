"""Node specs as texts."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.protocol.names import NODE
from fabric.trial.nodespec import (
    MAX_NODES,
    Both,
    Label,
    Names,
    Not,
    Part,
    Some,
    SpecError,
    expand,
    needs_lab,
    parse,
)


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        ("lab1", ("lab1",)),
        ("lab[1-4]", ("lab1", "lab2", "lab3", "lab4")),
        ("lab[08-11]", ("lab08", "lab09", "lab10", "lab11")),
        ("gen[001-002]", ("gen001", "gen002")),
        ("lab[9-10]", ("lab9", "lab10")),
        ("lab[3-3].example.org", ("lab3.example.org",)),
        ("[1-2]x", ("1x", "2x")),
        ("lab[7,1-2]", ("lab7", "lab1", "lab2")),
        ("lab[ 1, 3 ]", ("lab1", "lab3")),
        ("r[1-2]-n[1-2]", ("r1-n1", "r1-n2", "r2-n1", "r2-n2")),
        ("lab[1][2]", ("lab12",)),
        (" sut , lab[1-2],of, all ", ("sut", "lab1", "lab2", "of", "all")),
        ("10.0.0.1", ("10.0.0.1",)),
    ],
)
def test_a_spec_names_nodes_in_order(spec: str, nodes: tuple[str, ...]) -> None:
    """The order is that of `$my_index`; zeros pad to the length of the lower end."""
    assert expand(spec) == nodes


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("3 of @etcd", (Some(3, Label("etcd"), "3 of @etcd"),)),
        ("2 of lab[1-3]", (Some(2, Names(("lab1", "lab2", "lab3")), "2 of lab[1-3]"),)),
        ("all of @load", (Some(None, Label("load"), "all of @load"),)),
        ("@gpu & !@flaky", (Some(None, Both((Label("gpu"), Not(Label("flaky")))), "@gpu & !@flaky"),)),
        ("!!@gpu&!lab1", (Some(None, Both((Label("gpu"), Not(Names(("lab1",))))), "!!@gpu&!lab1"),)),
        (
            "lab1, 1 of @a&@b ,lab2",
            (Names(("lab1",)), Some(1, Both((Label("a"), Label("b"))), "1 of @a&@b"), Names(("lab2",))),
        ),
        ("7", (Names(("7",)),)),
        ("1 of 7", (Some(1, Names(("7",)), "1 of 7"),)),
    ],
)
def test_a_spec_has_parts(spec: str, parts: tuple[Part, ...]) -> None:
    """A bare expression of labels means all of the nodes that fit."""
    assert parse(spec) == parts


@pytest.mark.parametrize(
    ("spec", "wrong", "message"),
    [
        ("", "", "names no node"),
        ("lab1,", "", "missing at the end"),
        ("lab1,,lab2", ",", "not expected"),
        ("@a &", "", "missing at the end"),
        ("3 of", "", "missing at the end"),
        ("lab1 lab2", "lab2", "not expected"),
        ("lab[4-1]", "4-1", "backwards"),
        ("lab[1,4-3]", "4-3", "backwards"),
        ("lab[1", "[", "cannot stand"),
        ("lab]", "]", "cannot stand"),
        ("lab[a-b]", "a-b", "no range"),
        ("lab[]", "", "no range"),
        ("lab[1,-2]", "-2", "no range"),
        ("x" * 64, "x" * 64, "cannot be the name"),
        ("lab1, -x", "-x", "cannot be the name"),
        ("@ a", "@ a", "no label"),
        ("@", "@", "no label"),
        ("@a[1-2]", "@a[1-2]", "no label"),
        ("0 of @a", "0", "no number of nodes"),
        ("any of @a", "any", "no number of nodes"),
        ("50% of @a", "%", "cannot stand"),
        ("2 of of", "", ""),
        ("lab*", "*", "cannot stand"),
        ("@a | @b", "|", "cannot stand"),
        ("@a @b", "@", "not expected"),
        ("lab1 3 of @b", "3", "not expected"),
        ("lä1", "ä", "cannot stand"),
        ("a\0", "\0", "cannot stand"),
    ],
)
def test_a_wrong_spec_is_refused_where_it_is_wrong(spec: str, wrong: str, message: str) -> None:
    """A caret below the whole text would leave the search to the reader."""
    if not message:
        assert parse(spec)  # a node may be called `of`
        return
    with pytest.raises(SpecError, match=message) as raised:
        parse(spec)
    error = raised.value
    assert (spec[error.start : error.end], error.later) == (wrong, False)


def test_an_error_says_how_to_write_it() -> None:
    """The usual slips have a way out of their own."""
    for spec, hint in (
        ("lab1 lab2", 'write a list: ["lab1", "lab2"]'),
        ("any of @a", "write 1 of ..."),
        ("lab[4-1]", "write [1-4]"),
        ("50% of @a", "quorum"),
        ("lab*", "lab[1-9]"),
    ):
        with pytest.raises(SpecError) as raised:
            parse(spec)
        assert hint in raised.value.hint


@pytest.mark.parametrize("spec", ["@gpu", "3 of @etcd", "2 of lab[1-3]", "$a", "@a & !@b"])
def test_where_only_names_can_stand_the_rest_is_said_to_be_right_elsewhere(spec: str) -> None:
    """Nobody shall look for the typo in what the format allows."""
    with pytest.raises(SpecError) as raised:
        expand(spec)
    assert raised.value.later


@pytest.mark.parametrize(
    ("spec", "needed"),
    [
        ("lab[1-4]", False),
        ("2 of lab[1-4]", False),
        ("2 of lab[1-4] & !lab3", False),
        ("lab[1-4] & @gpu", True),
        ("lab[1-4] & !@gpu", True),
        ("!lab3", True),
        ("lab1, @gpu", True),
    ],
)
def test_what_can_be_told_without_a_broker_is_known(spec: str, needed: bool) -> None:
    """`--plan` asks a broker only if it has to."""
    assert needs_lab(parse(spec)) is needed


@pytest.mark.parametrize(
    "spec", ["n[1-999999999]", "n[1-50][1-50]", "n[1-999],m[1-999],o[1-999]", "a" * 70_000]
)
def test_a_huge_spec_is_refused_before_it_is_made(spec: str) -> None:
    """A slip of a digit must not fill the memory."""
    assert len(expand(f"n[1-{MAX_NODES}]")) == MAX_NODES
    with pytest.raises(SpecError, match="limit"):
        expand(spec)


@given(st.text("lab0123[]-. ,@!&of", max_size=14))
def test_what_is_named_can_be_a_node(spec: str) -> None:
    """Names go into keys, paths and messages; an error's place lies in the text."""
    try:
        assert all(
            NODE.fullmatch(node) for part in parse(spec) if isinstance(part, Names) for node in part.names
        )
    except SpecError as error:
        assert 0 <= error.start <= error.end <= len(spec)  # noqa: PT017 - most texts are wrong, not all
    with contextlib.suppress(SpecError):
        assert all(NODE.fullmatch(node) for node in expand(spec))


_LABELS = st.sampled_from(["a", "gpu", "x-1"]).map(lambda text: (f"@{text}", Label(text)))
_NAMES = st.sampled_from([("lab1", ("lab1",)), ("n[1-2]", ("n1", "n2"))]).map(
    lambda it: (it[0], Names(it[1]))
)
_TERMS = st.one_of(_LABELS, _NAMES, st.one_of(_LABELS, _NAMES).map(lambda it: (f"!{it[0]}", Not(it[1]))))
_COUNTS = st.sampled_from([("", None), ("all of ", None), ("3 of ", 3)])


@given(_COUNTS, st.lists(_TERMS, min_size=1, max_size=4), st.sampled_from(["&", " & "]))
def test_a_spec_that_was_written_from_its_parts_has_these_parts(
    count: tuple[str, int | None], terms: list[tuple[str, Label | Names | Not]], sign: str
) -> None:
    """The grammar has no combination that is read as another one."""
    text = count[0] + sign.join(written for written, _ in terms)
    pool = terms[0][1] if len(terms) == 1 else Both(tuple(term for _, term in terms))
    expected = pool if isinstance(pool, Names) and not count[0] else Some(count[1], pool, text)
    assert parse(text) == (expected,)

"""A hundred nodes in one short text, from which the hundred can be had again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.report.fold import fold, folded, group, natural
from fabric.trial.nodespec import expand


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["lab1"], "lab1"),
        (["lab2", "lab1"], "lab[1-2]"),
        ([f"lab{number}" for number in range(1, 98)], "lab[1-97]"),
        (["lab1", "lab2", "lab4", "sut"], "lab[1-2],lab4,sut"),
        ([f"gen{number:03}" for number in range(1, 101)], "gen[001-100]"),
        (["lab08", "lab09", "lab10", "lab8"], "lab[08-10],lab8"),
        (["r1n1", "r1n2", "r2n1", "r2n2"], "r1n[1-2],r2n[1-2]"),
        (["lab1-eth0", "lab2-eth0", "lab3-eth0"], "lab[1-3]-eth0"),
        (["a", "b"], "a,b"),
        (["7", "8"], "[7-8]"),
        ([], ""),
    ],
)
def test_consecutive_numbers_are_a_range(names: list[str], text: str) -> None:
    """As people write them, with the zeros that the names have."""
    assert folded(names) == text


NAMES = st.lists(st.from_regex(r"[ab][0-9]{1,3}(-[0-9]{1,2})?", fullmatch=True), max_size=40)


@given(NAMES)
def test_folding_loses_and_invents_no_name(names: list[str]) -> None:
    """The text can be pasted as a node spec: it must mean exactly these nodes."""
    found = [name for spec in fold(names) for name in expand(spec)]
    assert sorted(found) == sorted(set(names))


@given(NAMES, st.integers(min_value=8, max_value=60))
def test_a_text_that_is_cut_says_how_many_names_it_leaves_out(names: list[str], limit: int) -> None:
    """In a narrow column, a node that silently vanished would be one that nobody looks for."""
    text = folded(names, limit=limit)
    assert len(text) <= limit
    specs, _, rest = text.partition(",+")
    if rest:
        kept = {name for spec in specs.split(",") for name in expand(spec)}
        assert len(kept) + int(rest) == len(set(names))


def test_of_one_long_name_as_much_is_shown_as_there_is_room_for() -> None:
    """A row that is called "1 nodes" is nobody's."""
    assert folded(["n" * 63], limit=20) == "n" * 19 + "…"
    assert folded(["n" * 63, "m" * 63], limit=20) == "2 nodes"


def test_numbers_sort_as_numbers() -> None:
    """lab10 after lab9, where people look for it."""
    assert sorted(["lab10", "lab9", "lab09", "lab", "kab"], key=natural) == [
        "kab",
        "lab",
        "lab09",
        "lab9",
        "lab10",
    ]


def test_names_with_the_same_value_come_together() -> None:
    """What ninety-seven nodes say alike is said once."""
    said = {"lab1": "up", "lab2": "down", "lab3": "up"}
    assert list(group(said, lambda text: text)) == [(("lab1", "lab3"), "up"), (("lab2",), "down")]

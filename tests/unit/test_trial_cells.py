"""The cells of a matrix, and the order of the repeats."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.errors import UsageError
from fabric.trial import cells as module
from fabric.trial.cells import Cell, Repeat, cells_of, schedule, set_variables
from fabric.trial.load import parse_trial
from fabric.trial.model import Trial

PLAIN = parse_trial('[trial]\nname = "t"\n[nodes]\na = "lab1"\n[run]\na = "true"\n', "t.toml")
NODES = ("lab1", "lab2", "lab3")
PHASES = ("startup", "run", "collect", "reset")


def trial(**changes: Any) -> Trial:
    return replace(PLAIN, **changes)


def pairs(**changes: Any) -> Trial:
    return trial(matrix={"a": NODES, "b": NODES, "n": ("1", "8")}, **changes)


def shown(repeats: tuple[Repeat, ...]) -> str:
    return " ".join(repeat.id for repeat in repeats)


def test_a_trial_without_a_matrix_is_one_cell() -> None:
    """Its number 0 is not written in the names of steps."""
    assert cells_of(PLAIN) == (Cell(0, {}),)


def test_the_last_variable_changes_fastest() -> None:
    """As in nested loops; the order of the file is the order of the user."""
    found = cells_of(trial(matrix={"a": ("x", "y"), "n": ("1", "2")}))
    assert [(cell.number, *cell.variables.values()) for cell in found] == [
        (1, "x", "1"),
        (2, "x", "2"),
        (3, "y", "1"),
        (4, "y", "2"),
    ]


def test_distinct_variables_never_have_the_same_value() -> None:
    """A node against itself measures nothing."""
    found = cells_of(pairs(distinct=("a", "b")))
    assert len(found) == 12
    assert all(cell.variables["a"] != cell.variables["b"] for cell in found)
    assert [cell.number for cell in found] == list(range(1, 13))


def test_of_a_pair_and_its_reverse_one_is_left() -> None:
    """Where the direction does not matter, the other half is lost time."""
    found = cells_of(pairs(pairing=("a", "b")))
    assert [(cell.variables["a"], cell.variables["b"]) for cell in found if cell.variables["n"] == "8"] == [
        ("lab1", "lab1"),
        ("lab1", "lab2"),
        ("lab1", "lab3"),
        ("lab2", "lab2"),
        ("lab2", "lab3"),
        ("lab3", "lab3"),
    ]
    assert len(cells_of(pairs(pairing=("a", "b"), distinct=("a", "b")))) == 6


def test_only_takes_cells_and_leaves_them_their_numbers() -> None:
    """A cell of one run is compared with the same one of another."""
    whole = cells_of(pairs())
    assert cells_of(pairs(), ["n=8", "a=lab1,lab3"]) == tuple(
        cell for cell in whole if cell.variables["n"] == "8" and cell.variables["a"] != "lab2"
    )
    assert cells_of(pairs(), ["a=lab[1-2]", "a=lab3"]) == whole
    assert [cell.number for cell in cells_of(pairs(), ["cell=3, 7"])] == [3, 7]


@pytest.mark.parametrize(
    ("only", "message", "hint"),
    [
        ("m=8", "no variable `m`", "did you mean"),
        ("n=9", "`n` is never '9'", "values: 1, 8"),
        ("a=lab33", "never 'lab33'", "did you mean `lab3`? values: lab1, lab2, lab3"),
        ("n", "expected NAME=VALUE", "--only streams=8"),
        ("a=lab[1-", "values of `a`", ""),
        ("cell=99", "--only leaves none", "it has cells 1 to 18; `fabric-run --plan` shows them"),
    ],
)
def test_a_filter_that_fits_nothing_is_refused(only: str, message: str, hint: str) -> None:
    """Nobody wants to wait for the wrong half of a matrix."""
    with pytest.raises(UsageError, match=message) as raised:
        cells_of(pairs(), [only])
    if message.startswith("no variable"):
        assert raised.value.hint.endswith("variables: a, b, n")
    else:
        assert hint in raised.value.hint


def test_a_filter_without_a_matrix_is_refused() -> None:
    """It would be ignored without a word."""
    for only in ("a=1", "cell=1"):
        with pytest.raises(UsageError, match="no variable") as raised:
            cells_of(PLAIN, [only])
        assert raised.value.hint == "it has no [matrix]"


def test_a_matrix_that_is_too_large_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of a digit must not fill the memory."""
    many = tuple(map(str, range(2000)))
    with pytest.raises(UsageError, match="8000000000 combinations"):
        cells_of(trial(matrix={"a": many, "b": many, "c": many}))
    monkeypatch.setattr(module, "MAX_CELLS", 17)
    with pytest.raises(UsageError, match="more than 17 cells"):
        cells_of(pairs())
    assert len(cells_of(pairs(), ["n=8"])) == 9
    with pytest.raises(UsageError, match=r"leaves none$"):
        cells_of(trial(matrix={"a": ("x",), "b": ("x",)}, distinct=("a", "b")))


def test_repeats_are_interleaved_over_the_cells() -> None:
    """What drifts over an hour shall not look like a difference between cells."""
    one = trial(matrix={"n": ("1", "2")}, warmup=1)
    repeats = schedule(one, cells_of(one), 2, 7)
    assert shown(repeats) == "1.1 2.1 1.2 2.2 1.3 2.3"
    assert [repeat.is_warmup for repeat in repeats] == [True, True, False, False, False, False]
    assert {repeat.phases for repeat in repeats} == {PHASES}


def test_repeats_can_be_sequential_or_in_a_random_order() -> None:
    """By chance means by the seed: the same one gives the same order."""
    one = trial(matrix={"n": tuple("123456")}, order="sequential")
    assert shown(schedule(one, cells_of(one, ["n=2,1"]), 2, 7)) == "1.1 1.2 2.1 2.2"
    one = replace(one, order="random")
    mixed = schedule(one, cells_of(one), 3, 7)
    assert (
        shown(mixed) == shown(schedule(one, cells_of(one), 3, 7)) != shown(schedule(one, cells_of(one), 3, 8))
    )
    rounds = [[repeat.cell.number for repeat in mixed[at : at + 6]] for at in (0, 6, 12)]
    assert all(sorted(numbers) == [1, 2, 3, 4, 5, 6] for numbers in rounds)
    assert [mixed[at].number for at in (0, 6, 12)] == [1, 2, 3]
    assert rounds[0] != rounds[1] != rounds[2]


def test_what_is_outside_of_the_cycle_is_done_once_per_cell() -> None:
    """A database that takes minutes to fill is filled once, and cleaned up after the last repeat."""
    one = trial(matrix={"n": ("1", "2")}, cycle=("run",))
    repeats = schedule(one, cells_of(one), 3, 7)
    assert shown(repeats) == "1.1 1.2 1.3 2.1 2.2 2.3"
    assert [repeat.phases for repeat in repeats[:3]] == [
        ("startup", "run"),
        ("run",),
        ("run", "collect", "reset"),
    ]
    assert schedule(one, cells_of(one, ["n=1"]), 1, 7)[0].phases == PHASES


def test_phases_that_were_left_out_are_not_done() -> None:
    """Without the cycle there is nothing to repeat."""
    one = trial(cycle=("run", "collect"), warmup=2)
    repeats = schedule(one, cells_of(one), 2, 7, ("startup", "run", "reset"))
    assert [repeat.phases for repeat in repeats] == [("startup", "run"), ("run",), ("run",), ("run", "reset")]
    repeats = schedule(one, cells_of(one), 2, 7, ("startup", "reset"))
    assert [(repeat.id, repeat.is_warmup, repeat.phases) for repeat in repeats] == [
        ("1", False, ("startup", "reset"))
    ]


def test_too_many_repeats_are_refused() -> None:
    """A million directories help nobody."""
    one = trial(matrix={"n": tuple(map(str, range(1000)))})
    with pytest.raises(UsageError, match="1000 cells with 1000 repeats each are 1000000"):
        schedule(one, cells_of(one), 1000, 7)


def test_variables_can_be_set() -> None:
    """A quick look with other values needs no other file."""
    one = set_variables(pairs(env={"DEBUG": "0"}), ["n=16", "a=lab[4-5]", "b=x, y", "DEBUG=a,b=c"])
    assert one.matrix == {"a": ("lab4", "lab5"), "b": ("x", "y"), "n": ("16",)}
    assert one.env == {"DEBUG": "a,b=c"}
    assert len(cells_of(one)) == 4
    with pytest.raises(UsageError, match="no variable `repeat`") as raised:
        set_variables(one, ["repeat=3"])
    assert raised.value.hint == "variables: a, b, n, DEBUG"
    with pytest.raises(UsageError, match="no variable `x`") as raised:
        set_variables(PLAIN, ["x=3"])
    assert "neither" in raised.value.hint


@pytest.mark.parametrize("given", ["n=", "n= ", "n=1,", "n=,1", "DEBUG="])
def test_a_value_that_is_missing_is_not_set(given: str) -> None:
    """A variable of CI that is not set would run the whole trial with an empty text."""
    name = given.partition("=")[0]
    with pytest.raises(UsageError, match="value is missing") as raised:
        set_variables(pairs(env={"DEBUG": "0"}), [given])
    assert raised.value.hint == f"for an empty text write --set '{name}=\"\"'"


def test_an_empty_text_can_be_set_and_picked() -> None:
    """By two quotes, as a trial has it."""
    one = set_variables(pairs(env={"DEBUG": "0"}), ['n=1,""', 'DEBUG=""'])
    assert (one.matrix["n"], one.env) == (("1", ""), {"DEBUG": ""})
    assert {cell.variables["n"] for cell in cells_of(one, ['n=""'])} == {""}


_VALUES = st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True).map(tuple)


@given(
    st.dictionaries(st.sampled_from("xyz"), _VALUES, min_size=1),
    st.sampled_from(["interleaved", "sequential", "random"]),
    st.tuples(st.integers(1, 4), st.integers(0, 2)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(sorted),
    st.integers(0, 3),
)
def test_every_repeat_of_every_cell_is_done_once(
    matrix: dict[str, tuple[str, ...]], order: Any, counts: tuple[int, int], cycle: list[int], seed: int
) -> None:
    """Whatever the order: a phase of the cycle in each repeat, any other once per cell, the reset last."""
    repeats, warmup = counts
    one = trial(matrix=matrix, order=order, warmup=warmup, cycle=PHASES[cycle[0] : cycle[1] + 1])
    cells = cells_of(one)
    done = schedule(one, cells, repeats, seed)
    assert len({repeat.id for repeat in done}) == len(done) == len(cells) * (repeats + warmup)
    for cell in cells:
        own = [repeat for repeat in done if repeat.cell == cell]
        assert [repeat.number for repeat in own] == list(range(1, repeats + warmup + 1))
        assert [repeat.is_warmup for repeat in own] == [True] * warmup + [False] * repeats
        phases = [phase for repeat in own for phase in repeat.phases]
        assert all(phases.count(phase) == (len(own) if phase in one.cycle else 1) for phase in PHASES)
        assert own[-1].phases[-1] == "reset"

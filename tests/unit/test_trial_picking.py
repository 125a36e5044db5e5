"""Giving nodes to wishes."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from fabric.trial.picking import Wish, pick


def test_the_first_ones_are_taken_and_none_twice() -> None:
    """The order of a wish is that of the seed."""
    got = pick([Wish("a", 2, ("n3", "n1", "n2")), Wish("b", 1, ("n3", "n1", "n2"))])
    assert got == {"a": ("n3", "n1"), "b": ("n2",)}


def test_nobody_takes_what_only_another_one_could_use() -> None:
    """A trial that the lab can serve is not refused because of the order of its roles."""
    got = pick([Wish("a", 1, ("n1", "n2")), Wish("b", 1, ("n2", "n3")), Wish("c", 1, ("n1",))])
    assert got == {"a": ("n2",), "b": ("n3",), "c": ("n1",)}


def test_many_nodes_do_not_take_long() -> None:
    """A thousand of two thousand, by two roles that want the same ones."""
    nodes = tuple(f"n{number}" for number in range(2000))
    got = pick([Wish("a", 1000, nodes), Wish("b", 1000, nodes[:1000]), Wish("c", 5, nodes)])
    assert len(got["a"]) == 1000
    assert sum(map(len, got.values())) == 2000


def _most(wishes: list[tuple[int, tuple[str, ...]]], used: frozenset[str] = frozenset()) -> int:
    """Return how many nodes can be given at most, by trying everything."""
    if not wishes:
        return 0
    (count, able), rest = wishes[0], wishes[1:]
    free = [node for node in able if node not in used]
    return max(
        size + _most(rest, used | set(some))
        for size in range(min(count, len(free)) + 1)
        for some in combinations(free, size)
    )


_ABLE = st.lists(st.sampled_from("abcde"), unique=True).map(tuple)


@given(st.lists(st.tuples(st.integers(1, 3), _ABLE), max_size=4))
def test_as_many_as_possible_are_given(wanted: list[tuple[int, tuple[str, ...]]]) -> None:
    """Held against trying everything."""
    wishes = [Wish(index, count, able) for index, (count, able) in enumerate(wanted)]
    got = pick(wishes)
    given_out = [node for nodes in got.values() for node in nodes]
    assert len(set(given_out)) == len(given_out) == _most(wanted)
    for wish in wishes:
        assert len(got[wish.key]) <= wish.count
        assert set(got[wish.key]) <= set(wish.able)

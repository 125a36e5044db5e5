"""Names of fetched files in a bundle: each is its own, and costs the same, whatever a node calls them."""

import time
import tracemalloc

from fabric.report.filenames import Names

LIMIT_S = 5.0
"""It takes a tenth of a second; to count from the start each time took minutes."""


def test_a_name_that_thousands_want_costs_each_the_same() -> None:
    """A node's key was enough to keep fabric-run busy for minutes, deaf to Ctrl-C."""
    names, begun_s = Names(), time.process_time()
    found = {names.take("files/1/n/same") for _ in range(30_000)}
    for _ in range(3000):
        names.take("files/1/n/same/below")
        names.give_back("files/1/n/same~17")
        names.give_back("files/1/n/same~29000")
        assert {names.take("files/1/n/same"), names.take("files/1/n/same")} == {
            "files/1/n/same~17",
            "files/1/n/same~29000",
        }
    assert time.process_time() - begun_s < LIMIT_S
    assert len(found) == 30_000


def test_what_was_given_back_is_given_again() -> None:
    """A copy that was not kept must not leave a gap in the numbers, nor grow without end."""
    names = Names()
    assert [names.take("a/b") for _ in range(3)] == ["a/b", "a/b~2", "a/b~3"]
    for _ in range(3):
        names.give_back("a/b~2")
        assert names.take("A/B") == "A/B~2"
    names.give_back("a/b")
    assert names.take("a/b") == "a/b"
    names.give_back("a/nothing")
    names.give_back("nothing/at/all")
    names.give_back("a")
    assert names.take("a") == "a~2", "it is a directory"


def test_what_names_cost_is_not_more_than_what_is_counted() -> None:
    """The limit of a node's paths is about memory."""
    for make in (
        lambda number: f"files/1/n/{number:05}.log",
        lambda number: f"files/1/n/{number % 9}/{number % 1000}/{number:05}.log",
        lambda number: f"files/1/n/{number:05}/" + "a/" * 30 + "f",
        lambda number: f"files/1/n/same-{number // 2}",
    ):
        names = Names()
        tracemalloc.start()
        for number in range(400):
            names.take(make(number))
        used_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert names.cost_bytes / 3 < used_bytes < names.cost_bytes

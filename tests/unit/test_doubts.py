"""Before the first go: can the limit of the trial be proven with these clocks?"""

from fabric.controller.doubts import NAMED, Doubts

MS = 1_000_000


def doubts(limit_s: float | None, **bounds_ns: int) -> Doubts:
    made = Doubts(limit_s)
    for node, bound_ns in bounds_ns.items():
        made.ready(node, bound_ns)
    return made


def test_nodes_with_wide_bounds_are_named_with_them() -> None:
    """Who reads it has to know which machine to look at; a good one is not accused."""
    found = doubts(0.001, lab1=900_000, lab2=50_000, lab3=300_000, lab4=90_000).about(
        ["lab1", "lab2", "lab3", "lab4"]
    )
    assert found.startswith("max_skew 1 ms cannot be proven")
    assert "lab1 ± 0.9 ms, lab3 ± 0.3 ms" in found
    assert "lab2" not in found


def test_bounds_that_just_add_up_are_enough() -> None:
    """The limit itself is within the limit."""
    assert doubts(0.001, lab1=500_000, lab2=500_000).about(["lab1", "lab2"]) == ""
    assert doubts(0.001, lab1=500_000, lab2=500_001).about(["lab1", "lab2"]) != ""


def test_only_who_starts_counts() -> None:
    """A node alone has no skew, one that was given up has no part in it; without a limit nothing is said."""
    assert doubts(0.001, lab1=9 * MS).about(["lab1"]) == ""
    assert doubts(0.001, lab1=9 * MS, lab2=1000, lab3=1000).about(["lab2", "lab3"]) == ""
    assert doubts(None, lab1=9 * MS, lab2=9 * MS).about(["lab1", "lab2"]) == ""


def test_it_is_said_once_but_of_every_node() -> None:
    """Each phase of each repeat would say it; another cell may have other nodes."""
    made = doubts(0.001, lab1=9 * MS, lab2=9 * MS, lab3=9 * MS)
    assert made.about(["lab1", "lab2"]) != ""
    assert made.about(["lab1", "lab2"]) == ""
    assert "lab3" in made.about(["lab1", "lab3"])


def test_a_hundred_nodes_are_not_all_named() -> None:
    """The worst ones are."""
    bounds_ns = {f"n{number}": (number + 1) * MS for number in range(100)}
    found = doubts(0.001, **bounds_ns).about(bounds_ns)
    assert f"n99 ± 100 ms, n98 ± 99 ms, n97 ± 98 ms, n96 ± 97 ms and {100 - NAMED} more" in found

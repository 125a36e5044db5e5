"""All nodes start a phase or none does, in every order of events that a seed can bring about."""

from collections import Counter

import pytest

from tests.simulation import go_stories
from tests.simulation.go_lab import Story
from tests.simulation.go_stories import play

GOES = 970
"""Schedules of each kind; `scripts/soak` goes through many more, with other seeds."""

Found = Counter[tuple[str, str]]


def tally(kind: str, count: int = GOES, part: int = 0) -> Found:
    """Play the stories of a kind; return how often which outcome had which verdict."""
    first = 10_000_000 * list(go_stories.KINDS).index(kind) + part * count
    return Counter(play(go_stories.KINDS[kind](seed)) for seed in range(first, first + count))


def test_in_a_quiet_lab_all_start() -> None:
    """Without trouble every phase starts everywhere, at its first go."""
    found = tally("quiet", 100)
    assert set(found) == {("whole", "pass")}


def test_lost_words_start_all_or_none() -> None:
    """They are said again; what is said in vain is taken back."""
    found = tally("lossy")
    assert found["whole", "pass"] > GOES / 2
    assert all(verdict == "invalid" for what, verdict in found if what == "partial")


def test_cuts_start_all_or_none_or_are_told() -> None:
    """A node that the abort cannot reach starts alone: that is found out when it can be reached again."""
    found = tally("cut")
    assert all(verdict in ("invalid", "error") for what, verdict in found if what == "partial")
    assert found["whole", "pass"] > GOES / 3


def test_stalls_start_all_or_none_or_are_told() -> None:
    """A busy machine lets an agent, a launcher or the broker wait for its processor at any moment."""
    found = tally("stalled")
    assert all(verdict == "invalid" for what, verdict in found if what == "partial")
    assert found["whole", "pass"] > GOES / 3


def test_nodes_that_die_make_an_error_and_start_nobody_alone_unnoticed() -> None:
    """Whoever died cannot start; that the others did is an error of the lab."""
    found = tally("bereaved")
    assert all(verdict in ("error", "invalid") for what, verdict in found if what in ("death", "partial"))


def test_a_broker_that_dies_in_a_go_starts_all_or_none_or_it_is_told() -> None:
    """Its next life asks the nodes, and hears which of them have begun."""
    found = tally("headless")
    assert all(verdict in ("invalid", "error") for what, verdict in found if what == "partial")
    assert found["whole", "pass"] > GOES / 4


@pytest.mark.parametrize("part", range(2))
def test_all_kinds_of_trouble_together(part: int) -> None:
    """The rare orders of events."""
    found = tally("troubled", part=part)
    assert all(verdict in ("invalid", "error") for what, verdict in found if what in ("partial", "death"))


def test_a_node_that_starts_alone_and_dies_at_once_is_lost() -> None:
    """Nobody can know that it began: it was lost, which is an error, and all that it did has gone with it."""
    story = Story(
        60_004_152, nodes=2, loss=0.006282319325086095, tail=0.02, cuts=1, node_stalls=2, broker_stalls=1,
        launcher_stalls=1, node_deaths=1,
    )  # fmt: skip
    assert play(story) == ("death", "error")


@pytest.mark.parametrize(("seed", "broker_stalls"), [(30_000_752, 0), (30_001_646, 0)])
def test_a_node_that_reads_an_abort_after_the_end_of_its_step_still_answers_it(
    seed: int, broker_stalls: int
) -> None:
    """It waited for ever for the launcher's word about a step that it had forgotten."""
    story = Story(seed, node_stalls=seed % 3, launcher_stalls=seed % 2, broker_stalls=broker_stalls)
    assert play(story) == ("partial", "invalid")


def test_what_an_abort_took_back_of_a_go_that_stands_is_started_all_the_same() -> None:
    """All had started when they heard of the abort; a step that was planned for later waited for ever."""
    story = Story(
        3_500_000_849, nodes=2, repeats=2, base_ns=(50_000, 5_000_000), loss=0.02, tail=0.01, cuts=3
    )
    assert play(story)[0] == "whole"

"""All nodes start a phase or none does, in every order of events that a seed can bring about."""

import os
from collections import Counter
from random import Random

import pytest

from tests.simulation.go_checks import outcome
from tests.simulation.go_lab import GoLab, Story

GOES = int(os.environ.get("FABRIC_SIMULATION_GOES", "300"))
"""Schedules of each kind; `scripts/soak` goes through many more."""


def play(story: Story) -> tuple[str, str]:
    """Return what became of the starts of a schedule, and the verdict."""
    lab = GoLab(story)
    assert lab.run(), f"seed {story.seed}: {lab.phase} hangs ({story})"
    return outcome(lab), lab.desk.findings.verdict


def seeds(kind: int) -> range:
    """Return seeds that no other kind has."""
    return range(kind * 10_000_000, kind * 10_000_000 + GOES)


def tally(stories: list[Story]) -> Counter[tuple[str, str]]:
    return Counter(map(play, stories))


def test_in_a_quiet_lab_all_start() -> None:
    """Without trouble every phase starts everywhere, at its first go."""
    found = tally([Story(seed, nodes=1 + seed % 5) for seed in seeds(0)])
    assert {what for what, _ in found} == {"whole"}
    assert {verdict for _, verdict in found} == {"pass"}


def test_lost_words_start_all_or_none() -> None:
    """They are said again; what is said in vain is taken back."""
    found = tally([Story(seed, loss=Random(seed).uniform(0.0, 0.4), tail=0.01) for seed in seeds(1)])
    assert found["whole", "pass"] > GOES / 2
    assert all(verdict == "invalid" for what, verdict in found if what == "partial")


def test_cuts_start_all_or_none_or_are_told() -> None:
    """A node that the abort cannot reach starts alone: that is found out when it can be reached again."""
    found = tally([Story(seed, cuts=1 + seed % 3, loss=0.02, tail=0.01) for seed in seeds(2)])
    assert all(verdict in ("invalid", "error") for what, verdict in found if what == "partial")
    assert found["whole", "pass"] > GOES / 3


def test_stalls_start_all_or_none_or_are_told() -> None:
    """A busy machine lets an agent, a launcher or the broker wait for its processor at any moment."""
    stories = [
        Story(seed, node_stalls=seed % 3, launcher_stalls=seed % 2, broker_stalls=seed % 2)
        for seed in seeds(3)
    ]
    found = tally(stories)
    assert all(verdict == "invalid" for what, verdict in found if what == "partial")
    assert found["whole", "pass"] > GOES / 3


def test_nodes_that_die_make_an_error_and_start_nobody_alone_unnoticed() -> None:
    """Whoever died cannot start; that the others did is an error of the lab."""
    found = tally([Story(seed, node_deaths=1, loss=0.02) for seed in seeds(4)])
    assert all(verdict in ("error", "invalid") for what, verdict in found if what in ("death", "partial"))


def test_a_broker_that_dies_in_a_go_starts_all_or_none_or_it_is_told() -> None:
    """Its next life asks the nodes, and hears which of them have begun."""
    found = tally([Story(seed, broker_deaths=1, loss=0.02) for seed in seeds(5)])
    assert all(verdict in ("invalid", "error") for what, verdict in found if what == "partial")
    assert found["whole", "pass"] > GOES / 4


def test_all_kinds_of_trouble_together() -> None:
    """The rare orders of events."""
    stories = [
        Story(
            seed, nodes=2 + seed % 4, loss=random.uniform(0.0, 0.2), tail=0.02, cuts=random.randrange(3),
            node_stalls=random.randrange(3), launcher_stalls=random.randrange(2),
            broker_stalls=random.randrange(2), node_deaths=random.randrange(2),
            broker_deaths=random.randrange(2),
        )
        for seed in seeds(6)
        for random in [Random(seed)]
    ]  # fmt: skip
    found = tally(stories)
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

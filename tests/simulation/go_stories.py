"""Schedules of goes, by the kind of trouble: each follows from a seed."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from tests.simulation.go_checks import outcome
from tests.simulation.go_lab import GoLab, Story

NODES: Final = (2, 2, 3, 2, 2, 2, 2, 4)
"""Two are enough for most that can go wrong."""

REPEATS: Final = (1, 1, 1, 1, 2)


def play(story: Story) -> tuple[str, str]:
    """Return what became of the starts of a schedule, and the verdict."""
    lab = GoLab(story)
    assert lab.run(), f"seed {story.seed}: {lab.phase} hangs ({story})"
    return outcome(lab), lab.desk.findings.verdict


def _size(seed: int) -> tuple[int, int]:
    return NODES[seed % len(NODES)], REPEATS[seed % len(REPEATS)]


def quiet(seed: int) -> Story:
    """Nothing goes wrong."""
    return Story(seed, nodes=1 + seed % 4, repeats=1)


def lossy(seed: int) -> Story:
    """Words are lost, and late."""
    return Story(seed, *_size(seed), loss=Random(seed).uniform(0.0, 0.4), tail=0.01)


def cut(seed: int) -> Story:
    """Links are cut."""
    return Story(seed, *_size(seed), cuts=1 + seed % 3, loss=0.02, tail=0.01)


def stalled(seed: int) -> Story:
    """Processes stand still for a moment."""
    return Story(
        seed, *_size(seed), node_stalls=seed % 3, launcher_stalls=seed % 2,
        broker_stalls=seed // 2 % 2,
    )  # fmt: skip


def bereaved(seed: int) -> Story:
    """A node dies."""
    return Story(seed, *_size(seed), node_deaths=1, loss=0.02)


def headless(seed: int) -> Story:
    """The broker dies."""
    return Story(seed, *_size(seed), broker_deaths=1, loss=0.02)


def troubled(seed: int) -> Story:
    """All of that."""
    random = Random(seed)
    return Story(
        seed, nodes=random.choice((2, 2, 3, 4)), repeats=random.choice(REPEATS),
        loss=random.uniform(0.0, 0.2), tail=0.02, cuts=random.randrange(3), node_stalls=random.randrange(3),
        launcher_stalls=random.randrange(2), broker_stalls=random.randrange(2),
        node_deaths=random.randrange(2), broker_deaths=random.randrange(2),
    )  # fmt: skip


KINDS: Final[Mapping[str, Callable[[int], Story]]] = {
    "quiet": quiet,
    "lossy": lossy,
    "cut": cut,
    "stalled": stalled,
    "bereaved": bereaved,
    "headless": headless,
    "troubled": troubled,
}

"""All kinds of schedules by name, for the suite and for `scripts/soak`: what is played, and how it ends."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from tests.simulation import go_stories, record_lab, run_lab
from tests.simulation.shrink import failure, shrunk
from tests.simulation.troubles import (
    RECORD_KINDS,
    Story,
    any_story,
    killed_story,
    resumed_story,
    small_story,
)

GARBAGE: Final = 200_000
"""So many objects of some ten schedules wait for the collector of Python, which usually comes at 700."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let the collector come seldom."""
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE, 10, 10)
    yield
    gc.set_threshold(*before)


@dataclass(frozen=True)
class Schedules:
    """One kind: the story of each seed, and how it is played."""

    name: str
    story: Callable[[int], Any]
    play: Callable[[Any], object]  # returns a word or two about the end, raises AssertionError

    def told(self, seed: int) -> tuple[object, str]:
        """Play a seed; return how it ended, or how it failed with the shortest story that does."""
        story = self.story(seed)
        ends: list[object] = []
        words = failure(story, lambda played: ends.append(self.play(played)))
        if not words:
            return ends[0], ""
        if isinstance(story, Story):
            story, words = shrunk(story, self.play)
        return None, f"{words}\n{story}\n{story!r}"


def _records(seed: int, *, small: bool) -> Story:
    return (small_story if small else any_story)(seed, RECORD_KINDS)


ALL: Final = (
    *(Schedules(f"go {name}", story, go_stories.play) for name, story in go_stories.KINDS.items()),
    Schedules("records small", partial(_records, small=True), record_lab.play),
    Schedules("records", partial(_records, small=False), record_lab.play),
    Schedules("run small", small_story, run_lab.play),
    Schedules("run killed", killed_story, run_lab.play),
    Schedules("run resumed", resumed_story, run_lab.play),
    Schedules("run", any_story, run_lab.play),
)

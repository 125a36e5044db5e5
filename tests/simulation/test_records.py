"""The way of the records from a seed (see record_lab): nothing lost, nothing doubled, no number twice."""

import pytest

from tests.simulation.record_lab import play
from tests.simulation.shrink import check
from tests.simulation.troubles import RECORD_KINDS, Story, Trouble, any_story, small_story
from tests.simulation.world import MS

SMALL = 700
"""Of labs with two nodes, in each part; `scripts/soak` goes through many more, with other seeds."""

PARTS = 4

FOUND = (
    # Readers were given records that were not durable: their numbers came again as others.
    Story(seed=7, troubles=(Trouble("power", at_ns=1300 * MS, lasts_ns=50 * MS),)),
)
"""Stories that have failed once."""


@pytest.mark.parametrize("story", FOUND)
def test_what_was_mended_stays_so(story: Story) -> None:
    """A short story of a seed that failed; see `scripts/soak`."""
    play(story)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_record_is_stored_once_and_read_once_by_everybody(part: int) -> None:
    """Whatever dies, wherever the power fails, whichever link is cut."""
    for seed in range(part, PARTS * SMALL, PARTS):
        check(small_story(seed, RECORD_KINDS), play)
    for seed in range(part, PARTS * SMALL // 100, PARTS):
        check(any_story(seed, RECORD_KINDS), play)

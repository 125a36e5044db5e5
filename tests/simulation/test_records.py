"""The way of the records from a seed (see record_lab): nothing lost, nothing doubled, no number twice."""

import os

from tests.simulation.record_lab import play
from tests.simulation.shrink import check
from tests.simulation.troubles import RECORD_KINDS, any_story

SEEDS = int(os.environ.get("FABRIC_SIMULATION_RECORDS", "300"))
FIRST_SEED = int(os.environ.get("FABRIC_SIMULATION_FIRST_SEED", "0"))


def test_every_record_is_stored_once_and_read_once_by_everybody() -> None:
    """Whatever dies, wherever the power fails, whichever link is cut."""
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        check(any_story(seed, RECORD_KINDS), play)

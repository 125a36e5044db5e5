"""Who dies or stands still, at which moment of a run, and what becomes of it: a part of the matrix of faults.

`scripts/faults` does all of it.  All runs of a batch are brought to their moments, then everything happens.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.integration.faults.batch import Bench
from tests.integration.faults.cells import MATRIX, Cell

TOGETHER: Final = (
    # One broker serves all: what happens to it happens to all six.
    tuple(cell for cell in MATRIX if cell[:2] == ("broker", "kill")),
    (Cell("controller", "kill", "fetch"), Cell("tail", "kill", "run")),
    # Who does not come back: the run gives the node up.  Last, for one of these nodes is dirty afterwards.
    (
        Cell("agent", "kill-for-good", "prepare"),
        Cell("agent", "kill-for-good", "reset"),
        Cell("agent", "stop-for-good", "run"),
        Cell("launcher", "kill", "armed"),
        Cell("launcher", "kill", "reset"),
        Cell("launcher", "stop-for-good", "run"),
    ),
)

pytestmark = pytest.mark.timeout(400)
"""The first test of a batch waits for all of it; that is 30 s where nobody else wants the processors."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("matrix"))
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("cell", [cell for cells in TOGETHER for cell in cells], ids=lambda cell: cell.name)
def test_what_is_promised_holds_when_somebody_dies(bench: Bench, cell: Cell) -> None:
    """Each byte once and in order, no step twice, nothing left behind, and an end with the true reason."""
    assert bench.outcome(cell, TOGETHER).problems == []

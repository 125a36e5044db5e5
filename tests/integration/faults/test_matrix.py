"""Who dies, stands still or is cut off, at which moment of a run, and what becomes of it.

`scripts/faults` does the whole matrix.  All runs of a batch are brought to their moments, then everything
happens.  Here is the cheapest of each kind that no other test has: an agent that is killed and comes back is
in `test_restart_in_place`, one that is stopped in `test_files`, a broker, a controller and a tail that are
stopped in tests/integration/output; and whoever is cut off sees what all see when the broker is.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.integration.faults.batch import Bench
from tests.integration.faults.cells import Cell
from tests.integration.faults.network import Network, why_not

TOGETHER: Final = (
    # One broker serves all: what happens to it happens to all of them.
    tuple(Cell("broker", "kill", stage) for stage in ("prepare", "go", "run", "fetch")),
    tuple(Cell("broker", "cut-link", stage) for stage in ("armed", "run")),
    tuple(Cell("agent", "cut-out", stage) for stage in ("armed", "run")),
    # Who does not come back: the run gives the node up.  Last, for one of these nodes is dirty afterwards.
    (
        Cell("agent", "kill-for-good", "reset"),
        Cell("agent", "stop-for-good", "run"),
        Cell("launcher", "kill", "armed"),
        Cell("launcher", "kill", "reset"),
        Cell("launcher", "stop", "run"),
        Cell("controller", "kill", "fetch"),
        Cell("tail", "kill", "run"),
    ),
)

pytestmark = pytest.mark.timeout(400)
"""The first test of a batch waits for all of it; that is 25 s where nobody else wants the processors."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    network = None if why_not() else Network()
    try:
        made = Bench(tmp_path_factory.mktemp("matrix"), network)
        try:
            made.open()
            yield made
        finally:
            made.close()
    finally:
        if network:
            network.close()


@pytest.mark.parametrize("cell", [cell for cells in TOGETHER for cell in cells], ids=lambda cell: cell.name)
def test_what_is_promised_holds(bench: Bench, cell: Cell) -> None:
    """Each byte once and in order, no step twice, nothing left behind, and an end with the true reason."""
    if cell.cut and (reason := why_not()):
        pytest.skip(reason)
    assert bench.outcome(cell, TOGETHER).problems == []

"""A link is cut and heals, at each moment of a run, in network namespaces: a part of the matrix of faults."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.integration.faults.batch import Bench
from tests.integration.faults.cells import Cell
from tests.integration.faults.network import Network, why_not

TOGETHER: Final = (
    tuple(Cell("agent", "cut-out", stage) for stage in ("armed", "run", "fetch", "reset")),
    tuple(Cell("broker", "cut-link", stage) for stage in ("prepare", "go", "run", "reset")),
)

pytestmark = pytest.mark.timeout(400)
"""As in `test_matrix`."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if reason := why_not():
        pytest.skip(reason)
    network = Network()
    try:
        made = Bench(tmp_path_factory.mktemp("cuts"), network)
        try:
            made.open()
            yield made
        finally:
            made.close()
    finally:
        network.close()


@pytest.mark.parametrize("cell", [cell for cells in TOGETHER for cell in cells], ids=lambda cell: cell.name)
def test_nobody_notices_a_cut_that_heals_in_time(bench: Bench, cell: Cell) -> None:
    """Output, files and ends are kept where they are, and come when the link is back; a go is heard again."""
    assert bench.outcome(cell, TOGETHER).problems == []

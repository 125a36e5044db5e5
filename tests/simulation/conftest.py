"""What all simulations want."""

from collections.abc import Iterator

import pytest

from tests.simulation.schedules import seldom_collecting


@pytest.fixture(autouse=True)
def seldom_collected() -> Iterator[None]:
    """Give a fifth of the time to more schedules."""
    with seldom_collecting():
        yield

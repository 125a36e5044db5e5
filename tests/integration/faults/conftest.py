"""A lab for a test, or for all tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A broker; the test starts the agents that it needs.  A process or file that is left fails the test."""
    made = Lab(tmp_path)
    try:
        made.start_broker()
        yield made
    finally:
        made.close()

"""A lab with one node, of which nothing stays on the disk: the tests print gigabytes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A broker and the agent of lab1.  A process or file that is left fails the test."""
    made = Lab(tmp_path)
    try:
        made.start_broker()
        made.start_agents("lab1")
        yield made
    finally:
        made.close()
        shutil.rmtree(tmp_path)

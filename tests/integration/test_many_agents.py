"""A whole lab on one machine: what does not scale shows here first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.faults.lab import Lab

AGENTS: Final = 64

WITHIN_S: Final = 150.0
"""On two cores with nothing else to do it takes 28 s."""

TRIAL: Final = f"""
[trial]
name = "many"
repeat = 2       # the second go takes what the first one needed

[nodes]
all = "n[1-{AGENTS}]"

[run]
all = "echo $my_name"
"""


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Lab]:
    """A lab without a broker of its own.  A process or file that is left fails the test."""
    made = Lab(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_sixty_four_local_agents_start_run_and_end(private: Lab) -> None:
    """One broker, 64 agents and 64 launchers: all start together, all report, and nothing stays behind."""
    run = private.run(TRIAL, "--local", "--quiet")
    assert run.wait(WITHIN_S) == 0, run.end_of_said()
    for number in range(1, AGENTS + 1):
        for repeat in (1, 2):
            assert run.out(repeat, "run", f"n{number}", "all-1.stdout") == f"n{number}\n".encode()
    run.check_bundle()

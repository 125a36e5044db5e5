"""A step of the node ``victim`` that counts and does not end by itself, and what is shown of it."""

import sys
from typing import Final

from tests.integration.faults.lab import FabricRun, Lab
from tests.integration.faults.processes import until

STEP: Final = """
[[run.victim]]
name = "numbers"
cmd  = ["{python}", "-uc", '''
import time
for number in range(10_000_000):
    print(number)
    if number % 100 == 0:
        time.sleep(0.01)
''']
"""


def run_counting(lab: Lab, trial: str) -> FabricRun:
    """Start a run with the step in it, and wait until it has counted to 2000."""
    run = lab.run(trial.format(python=sys.executable, files=lab.directory))
    until(lambda: "victim/numbers" in run.said() and "│ 2000\n" in run.said(), run.said)
    return run


def check_counted(lines: str) -> list[str]:
    """See that what a tail has shown of it is there once and in order; return the texts."""
    shown = [line.split("│ ", 1)[1] for line in lines.splitlines() if "numbers" in line and "│ " in line]
    assert len(shown) > 2000
    *whole, last = shown
    assert whole == [str(number) for number in range(len(whole))]
    assert str(len(whole)).startswith(last)  # it was killed while it wrote
    return shown

#!/usr/bin/env python3
"""How long ``fabric-run --local configs/trials/hello.toml`` takes from start to exit.

Floors in the same rounds: an interpreter that does nothing, and interpreters that only import what the
controller, the broker and two agents import, side by side as they run.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from common import REPOSITORY, program, ratio, rounds, spread

CONTROLLER = "import fabric.controller.trialrun, fabric.trial.load, fabric.report.views"
BROKER = "import broker.service"
AGENT = "import agents.run, agents.node"


def together_s(programs: Sequence[Sequence[str]]) -> float:
    """Return the seconds until all of these commands, started at once, have ended."""
    begin = time.perf_counter()
    running = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in programs]
    if any([process.wait() for process in running]):  # noqa: C419 - all have to end
        raise SystemExit("a command failed")
    return time.perf_counter() - begin


def hello_s(place: str) -> float:
    """Return the seconds that the trial takes."""
    trial = REPOSITORY / "configs" / "trials" / "hello.toml"
    return together_s([[program("fabric-run"), "--local", "-o", place, str(trial)]])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    imports = [[sys.executable, "-c", words] for words in (CONTROLLER, BROKER, AGENT, AGENT)]
    with tempfile.TemporaryDirectory() as place:
        hello_s(place)  # warm the page cache and the byte code
        ways = {
            "python -c pass": lambda: together_s([[sys.executable, "-c", "pass"]]),
            "imports only": lambda: together_s(imports),
            "--local hello": lambda: hello_s(place),
        }
        found = rounds(ways, options.rounds)
    for name, values in found.items():
        print(f"{name:16} {spread(values, 's', 2)}")
    print(f"--local hello / imports only: {ratio(found['--local hello'], found['imports only']):.1f}")


if __name__ == "__main__":
    main()

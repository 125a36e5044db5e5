#!/usr/bin/env python3
"""Idle memory (PSS) of agent, launcher and broker, with one agent on the machine.

Floor: an interpreter that sleeps, and one that has only imported pyzmq, msgpack, click and structlog.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from common import Lab, Operator, spread

CORE = "import zmq, msgpack, click, structlog, time"


def pss_mb(pid: int) -> float:
    """Return the proportional set size of a process in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"process {pid} has no memory")


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sleeper_mb(words: str) -> float:
    """Return the memory of an interpreter that has done this and sleeps."""
    code = f"{words}\nprint(flush=True)\nimport sys\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = pss_mb(process.pid)
        process.communicate()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        found.setdefault("bare interpreter", []).append(sleeper_mb("import sys"))
        found.setdefault("core libraries", []).append(sleeper_mb(CORE))
        with Lab() as lab, Operator(lab.access) as operator:
            operator.pause(3.0)
            agent = lab.processes["lab1"].pid
            (launcher,) = children(agent)
            found.setdefault("agent", []).append(pss_mb(agent))
            found.setdefault("launcher", []).append(pss_mb(launcher))
            found.setdefault("agent + launcher", []).append(pss_mb(agent) + pss_mb(launcher))
            found.setdefault("broker", []).append(pss_mb(lab.processes["broker"].pid))
    for name, values in found.items():
        print(f"{name:18} {spread(values, 'MB', 1)}")


if __name__ == "__main__":
    main()

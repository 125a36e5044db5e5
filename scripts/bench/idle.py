#!/usr/bin/env python3
"""A thousand idle agents on one broker: its processor time and memory, and how long until all are back.

Floor: the same with no agent; and a restart of the broker with ten.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from common import Lab, cpu_s, end_cleanly, program
from memory import pss_mb

PATIENCE_S = 300.0


class Herds:
    """All the agents, in some processes."""

    def __init__(self, lab: Lab, agents: int, processes: int) -> None:
        self.agents = agents
        self._processes = []
        for number in range(processes):
            names = [f"idle{index}" for index in range(number, agents, processes)]
            herd = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("herd.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert herd.stdin is not None
            herd.stdin.write(json.dumps({"url": lab.access.url, "join": lab.join, "names": names}) + "\n")
            herd.stdin.flush()
            self._processes.append(herd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for herd in self._processes:
            herd.kill()
            herd.wait()

    def await_epoch(self, epoch: int) -> float:
        """Return when the last agent was connected to this life of the broker, on the monotonic clock."""
        last_s = 0.0
        for herd in self._processes:
            assert herd.stdout is not None
            said = 0
            while said < epoch:
                line = herd.stdout.readline()
                assert line, "agents have ended"
                said, at_s = json.loads(line)
            last_s = max(last_s, at_s)
        return last_s

    def cpu_s(self) -> float:
        """Return the processor time of all of them."""
        return sum(cpu_s(herd.pid) for herd in self._processes)


def listed(lab: Lab) -> tuple[int, float]:
    """Return how many nodes `fabric nodes` finds free, and how long it takes."""
    begin_s = time.monotonic()
    words = [program("fabric"), "nodes", "--json"]
    told = subprocess.run(words, env=lab.environment, capture_output=True, check=True, timeout=PATIENCE_S)
    took_s = time.monotonic() - begin_s
    return told.stdout.count(b'"free"'), took_s


def measure(agents: int, processes: int, seconds: float, kills: int) -> None:
    """Print what a number of agents costs."""
    with Lab(()) as lab:
        broker = lab.processes["broker"]
        begin_s = time.monotonic()
        with Herds(lab, agents, processes if agents else 0) as herds:
            if agents:
                took_s = herds.await_epoch(1) - begin_s
                print(f"{agents:5} agents: joined after {took_s:.1f} s (with the start of their processes)")
            time.sleep(5.0)  # bursts of probes are over
            before_s, herds_s, begin_s = cpu_s(broker.pid), herds.cpu_s(), time.monotonic()
            time.sleep(seconds)
            past_s = time.monotonic() - begin_s
            used = (cpu_s(broker.pid) - before_s) / past_s
            theirs = (herds.cpu_s() - herds_s) / past_s
            free, list_s = listed(lab)
            print(
                f"{agents:5} agents: broker {used * 100:.2f} % of a processor, {pss_mb(broker.pid):.0f} MB"
                f" (all agents {theirs * 100:.0f} %); fabric nodes: {free} free, {list_s:.2f} s",
                flush=True,
            )
            for epoch in range(2, 2 + kills if agents else 2):
                lab.kill_broker()
                begin_s = time.monotonic()
                lab.start_broker_again()
                took_s = herds.await_epoch(epoch) - begin_s
                print(f"{agents:5} agents: all back {took_s:.2f} s after kill -9", flush=True)
                time.sleep(2.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=4, help="in which they are")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    end_cleanly()
    for agents in (0, 10, options.agents):
        measure(agents, options.processes, options.seconds, options.kills)


if __name__ == "__main__":
    main()

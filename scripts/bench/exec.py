#!/usr/bin/env python3
"""How long `fabric exec SPEC -- true` takes on some local agents, beside ssh to a local sshd.

warm: over a connection that is there, from the call to the last node's exit code and to the end of the call.
cold: the command as a process.  ssh: ClusterShell's clush, and plain ssh side by side, both with a connection
of a ControlMaster for each node that is there before; the same sshd on this machine plays all nodes.
Only ways whose programs are installed are measured: apt-get install openssh-server clustershell.
"""

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from common import Lab, program, rounds, spread
from sshd import Sshd

from fabric.controller.command import STEP, Command
from fabric.controller.connection import Connection
from fabric.controller.entry import Read
from fabric.controller.execute import execute
from fabric.protocol.records import StepFinished


class Warm:
    """A connection that is used again and again."""

    def __init__(self, lab: Lab) -> None:
        self._nodes = lab.nodes
        self._connection = Connection(lab.access, program="bench")
        self._connection.wait_up()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def last_result_ms(self) -> float:
        """Return the milliseconds until the last node's exit code is known."""
        last_ns = begin_ns = time.monotonic_ns()

        def show(reads: Sequence[Read], _: int) -> None:
            nonlocal last_ns
            if any(isinstance(read.record, StepFinished) for read in reads):
                last_ns = time.monotonic_ns()

        done = execute(self._connection, self._nodes, Command.of(["true"]), show)
        assert done.verdict == "pass", done.whys
        assert all(end.step == STEP for end in done.ends.values())
        self.whole_ms = (time.monotonic_ns() - begin_ns) / 1e6
        return (last_ns - begin_ns) / 1e6


def timed_ms(call: Callable[..., str]) -> float:
    """Return the milliseconds of `true` by a way of ssh."""
    begin = time.perf_counter()
    call("true")
    return (time.perf_counter() - begin) * 1e3


def process_ms(words: Sequence[str], env: dict[str, str] | None = None) -> float:
    """Return the milliseconds of a process."""
    begin = time.perf_counter()
    subprocess.run(words, check=True, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - begin) * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=[4, 16, 64])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for count in options.nodes:
        nodes = [f"n{index}" for index in range(count)]
        with ExitStack() as stack:
            lab = stack.enter_context(Lab(nodes))
            warm = Warm(lab)
            stack.callback(warm.close)
            cold = [program("fabric"), "exec", "-q", ",".join(nodes), "true"]
            whole: list[float] = []

            def warm_ms(warm: Warm = warm, whole: list[float] = whole) -> float:
                found = warm.last_result_ms()
                whole.append(warm.whole_ms)
                return found

            env = dict(os.environ) | lab.environment
            ways: dict[str, Callable[[], float]] = {
                "warm, last result": warm_ms,
                "cold process": lambda cold=cold, env=env: process_ms(cold, env),  # type: ignore[misc]
            }
            if shutil.which("sshd"):
                sshd = stack.enter_context(Sshd(nodes))
                ways["ssh side by side"] = lambda sshd=sshd: timed_ms(sshd.plain)  # type: ignore[misc]
                if shutil.which("clush"):
                    ways["clush"] = lambda sshd=sshd: timed_ms(sshd.clush)  # type: ignore[misc]
            for way in ways.values():
                way()
            whole.clear()
            found = rounds(ways, options.rounds)
            found["warm, nodes free again"] = whole
            for name, values in found.items():
                print(f"{count:3} nodes  {name:24} {spread(values, 'ms', 1)}")


if __name__ == "__main__":
    main()

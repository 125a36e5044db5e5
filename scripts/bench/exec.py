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
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from common import Lab, program, rounds, spread

from fabric.controller.command import STEP, Command
from fabric.controller.connection import Connection
from fabric.controller.entry import Read
from fabric.controller.execute import execute
from fabric.protocol.records import StepFinished

PORT = 7422


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


class Sshd:
    """A private sshd, and a master connection for each name."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bench-ssh-"))
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-qN", "", "-t", "ed25519", "-f", self.directory / key], check=True)
        (self.directory / "authorized").write_text((self.directory / "user.pub").read_text())
        (self.directory / "authorized").chmod(0o600)
        Path("/run/sshd").mkdir(exist_ok=True)
        settings = {
            "Port": PORT,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.directory / "host",
            "AuthorizedKeysFile": self.directory / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "MaxStartups": 1000,
            "UsePAM": "no",
            "SetEnv": "SHLVL=1",  # so that bash does not read a .bashrc, which may take a second
        }
        arguments = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self._server = subprocess.Popen(
            [shutil.which("sshd") or "sshd", "-D", "-f", "/dev/null", *arguments], stderr=subprocess.DEVNULL
        )
        self.config = self.directory / "config"
        self.config.write_text(
            f"Host *\n HostName 127.0.0.1\n Port {PORT}\n IdentityFile {self.directory}/user\n"
            f" StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel QUIET\n"
            f" ControlMaster auto\n ControlPath {self.directory}/m-%n\n ControlPersist 600\n"
        )
        self.nodes = tuple(nodes)
        time.sleep(0.5)
        for node in self.nodes:
            subprocess.run(["ssh", "-F", self.config, node, "true"], check=True, stdin=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            subprocess.run(["ssh", "-F", self.config, "-O", "exit", node], check=False, capture_output=True)
        self._server.terminate()
        self._server.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def plain_ms(self) -> float:
        """Return the milliseconds of one ssh for each node, all at once."""
        begin = time.perf_counter()
        words = ["ssh", "-F", str(self.config)]
        running = [subprocess.Popen([*words, node, "true"], stdin=subprocess.DEVNULL) for node in self.nodes]
        if any([process.wait() for process in running]):  # noqa: C419 - all have to end
            raise SystemExit("an ssh failed")
        return (time.perf_counter() - begin) * 1e3

    def clush_ms(self) -> float:
        """Return the milliseconds of clush."""
        words = ["clush", "-o", f"-F {self.config}", "-f", "128", "-w", ",".join(self.nodes), "true"]
        return process_ms(words)


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
                ways["ssh side by side"] = sshd.plain_ms
                if shutil.which("clush"):
                    ways["clush"] = sshd.clush_ms
            for way in ways.values():
                way()
            whole.clear()
            found = rounds(ways, options.rounds)
            found["warm, nodes free again"] = whole
            for name, values in found.items():
                print(f"{count:3} nodes  {name:24} {spread(values, 'ms', 1)}")


if __name__ == "__main__":
    main()

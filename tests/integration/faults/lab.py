"""A lab of real processes: a broker and agents on 127.0.0.1, and `fabric-run` as a user starts it."""

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from agents.launcher import cgroup, starting, tree
from fabric.cli.instants import plain
from fabric.controller.connection import Connection
from fabric.controller.lookup import list_nodes
from fabric.keys import OperatorAccess
from tests.integration.faults.network import Network, Place
from tests.integration.faults.processes import BOUND_S, MARK, Descendants, describe, kill, marked, until

PATIENCE_S: Final = (4.0, 2.0, 4.0)
"""Lease, grace, silence (agents.launching.Patience): shorter than the defaults, so a test is over soon."""

PATIENT: Final = ("--launcher-patience", 20, 20, 10)
"""Options of an agent that is killed and is to be taken over from in time, on a machine that is busy."""

FABRIC: Final = (sys.executable, "-c", "from fabric.cli.main import main; main()")
"""The command `fabric`, of this checkout whatever is installed."""

_BUNDLES: Final = """
import sys
from pathlib import Path
from fabric.cli.attach import attached
from fabric.controller.bundling import write_bundle
with attached("bundles", sys.argv[1], verbose=False, quiet=False) as connection:
    for run in sys.argv[3:]:
        write_bundle(connection, run, Path(sys.argv[2]))
"""

IN_BUNDLE: Final = {"MANIFEST.sha256", "events.jsonl", "plan.json", "result.json", "trial.toml"}


class Lab:
    """Everything that it starts carries its mark, and nothing of it outlives `close`.

    Args:
        directory: For all that it writes.
        network: In which its processes live, instead of 127.0.0.1; made before, closed after it.
        patience_s: Of agents with their launchers: lease, grace and silence.
    """

    def __init__(
        self,
        directory: Path,
        *,
        network: Network | None = None,
        patience_s: tuple[float, float, float] = PATIENCE_S,
    ) -> None:
        self.directory = directory
        self.network = network
        self.patience_s = patience_s
        self.mark = uuid4().hex
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("FABRIC_")}
        self.environment = plain | {
            MARK: self.mark,
            "TMPDIR": str(self.temporary),
            "XDG_STATE_HOME": str(directory / "state"),
            "XDG_CONFIG_HOME": str(directory / "config"),
        }
        self.url = f"tcp://{network.address('broker') if network else '127.0.0.1'}:0"
        self.broker: subprocess.Popen[bytes] | None = None
        self.agents: dict[str, Agent] = {}
        self.runs: list[FabricRun] = []
        self._descendants = Descendants()
        self._descendants.begin()

    # --- the broker -------------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Start it, again at the same address with the same state; returns when it serves."""
        read_fd, write_fd = os.pipe()
        words = ("--listen", self.url, "--state-dir", self.directory / "broker", "--announce-fd", write_fd)
        self.broker = self.spawn(
            "broker", (sys.executable, "-m", "broker", *words), fds=(write_fd,), place="broker"
        )
        os.close(write_fd)
        with os.fdopen(read_fd) as announcement:
            line = announcement.readline()
        assert line, self.log("broker")
        said = json.loads(line)
        self.url, self.token = said["url"], said["join"]

    def kill_broker(self) -> None:
        """End it as a crash does."""
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait()

    # --- agents -----------------------------------------------------------------------------------------

    def start_agents(self, *names: str) -> None:
        """Start agents, or start them again; returns when the broker has let them all in."""
        for name in names:
            agent = self.agents.setdefault(name, Agent(self, name))
            agent.start()
        for name in names:
            self.agents[name].wait_joined()

    # --- runs -------------------------------------------------------------------------------------------

    def run(self, trial: str, *options: str, name: str = "") -> "FabricRun":
        """Start fabric-run with a trial."""
        made = FabricRun(self, name or f"run{len(self.runs)}", trial, options)
        self.runs.append(made)
        return made

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the fabric to its end: ``nodes``, ``runs``, ``tail`` and their options."""
        argv = [*self._within("others"), *FABRIC, *words, "--broker", self.url]
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=BOUND_S, check=False
        )

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return what the broker says of its nodes.

        What ``fabric nodes --json`` shows, without the second that a process takes: tests ask often.
        """
        if self.network:
            done = self.command("nodes", "--json")
            assert done.returncode == 0, done.stderr
            return {node["name"]: node for node in map(json.loads, done.stdout.splitlines())}
        (path,) = (self.directory / "config").rglob("operator-*.json")
        access = OperatorAccess.load(path)
        assert access is not None, path
        connection = Connection(access, program="tests")
        try:
            connection.wait_up()
            return {node.name: plain(node) for node in list_nodes(connection)}
        finally:
            connection.close()

    def bundles(self, runs: Iterable[str], output: Path) -> None:
        """Make the bundles of runs from what is stored now: one process for all, for that is what costs."""
        argv = [*self._within("others"), sys.executable, "-c", _BUNDLES, self.url, output, *runs]
        done = subprocess.run(
            [*map(str, argv)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def wait_free(self, *names: str) -> None:
        """Wait until these nodes can be used by a run."""

        def are_free() -> bool:
            nodes = self.nodes()
            return all(nodes[name]["state"] == "free" for name in names)

        until(are_free, f"free: {names}")

    # --- processes --------------------------------------------------------------------------------------

    def spawn(
        self, name: str, words: Iterable[object], fds: tuple[int, ...] = (), place: Place = "others"
    ) -> subprocess.Popen[bytes]:
        """Start a program in the lab's environment; what it says goes to a log."""
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*self._within(place), *map(str, words)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
            )

    def _within(self, place: Place) -> tuple[str, ...]:
        return self.network.within(place) if self.network else ()

    def log(self, name: str) -> str:
        """Return what a process has said."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def steps(self, node: str) -> list[int]:
        """Return who lives of the steps of a node, the program itself or what it has started."""
        return [pid for pid in marked(self.mark) if tree.mark(pid, "my_name") == node]

    # --- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything, and see that nothing is left."""
        try:
            for run in self.runs:
                run.end()
            for agent in self.agents.values():
                agent.end()
            if self.broker is not None and self.broker.poll() is None:
                self.broker.send_signal(signal.SIGCONT)
                self.broker.terminate()
                assert self.broker.wait(BOUND_S) == 0, self.log("broker")
            self._check_nothing_left()
        finally:
            self._kill_all()
            self._descendants.end()

    def living(self) -> list[int]:
        """Return who lives of all that was started here."""
        return list({*marked(self.mark), *self._descendants.living()})

    def _kill_all(self) -> None:
        """Kill whoever lives, again while somebody does: who forks meanwhile is seen at the next look."""

        def is_done() -> bool:
            living = self.living()
            kill(living)
            return not living

        until(is_done, lambda: f"the death of {', '.join(map(describe, self.living()))}", 20.0)

    def _check_nothing_left(self) -> None:
        until(
            lambda: not self.living(), lambda: f"the end of {', '.join(map(describe, self.living()))}", 20.0
        )
        assert list(self.temporary.iterdir()) == []
        for agent in self.agents.values():
            agent.check_nothing_left()


class Agent:
    """One node; its state directory outlives its process."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.state = lab.directory / f"agent-{name}"
        self.place: Place = "others"
        self.options: tuple[object, ...] = ()
        self.process: subprocess.Popen[bytes] | None = None
        self.dirty = ""  # the run whose reset failed, and for whose cleaning it keeps a scratch directory
        self._joined = 0

    def start(self) -> None:
        """Start the process."""
        words = (self.lab.url, "--join", self.lab.token, "--name", self.name, "--addr", "=127.0.0.1")
        limits = ("--state-dir", self.state, "--launcher-patience", *self.lab.patience_s)
        self._joined = self._said().count("broker_joined")
        self.process = self.lab.spawn(
            self.name, (sys.executable, "-m", "agents", *words, *limits, *self.options), place=self.place
        )

    def wait_joined(self) -> None:
        """Wait until the broker has let it in."""
        until(lambda: self._said().count("broker_joined") > self._joined, lambda: self._said()[-2000:])

    @property
    def pid(self) -> int:
        """Of the agent."""
        assert self.process is not None
        return self.process.pid

    @property
    def launcher(self) -> int:
        """Pid of its launcher."""
        (pid,) = self.launchers
        return pid

    @property
    def launchers(self) -> list[int]:
        """Its only child, or the launcher that it has taken over from its last life; nothing at times."""
        taken_over = re.findall(r"launcher_taken_over +pid=(\d+)", self._said())
        return list(tree.children(self.pid)) or [
            pid for pid in map(int, taken_over[-1:]) if not tree.is_dead(pid)
        ]

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def begin_again(self) -> None:
        """Have it replace itself by the program that is installed; returns when the broker has let it in."""
        self._joined = self._said().count("broker_joined")
        os.kill(self.pid, signal.SIGHUP)
        self.wait_joined()

    def end(self) -> None:
        """End it as its user does, wherever it stands."""
        if self.process is None or self.process.poll() is not None:
            return
        for pid in (*tree.children(self.pid), self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.process.terminate()
        assert self.process.wait(BOUND_S) == 0, self._said()

    def size(self) -> int:
        """Return how many bytes it keeps on its disk."""
        total = 0
        for path in self.state.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def check_nothing_left(self) -> None:
        """No socket and no cgroup of a launcher, no scratch directory of a run."""
        assert not (self.state / starting.SOCKET_NAME).exists()
        group = cgroup.directory_of(starting.mark_of(self.state))
        assert not group or not Path(group).exists()
        scratch = self.state / "scratch"
        left = (
            [path.name for path in scratch.iterdir() if path.name != self.dirty] if scratch.exists() else []
        )
        assert left == [], f"{self.name} has left {left}:\n{self._said()[-3000:]}"

    def _said(self) -> str:
        path = self.lab.directory / f"{self.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""


class FabricRun:
    """A fabric-run, from its start to its bundle."""

    def __init__(self, lab: Lab, name: str, trial: str, options: tuple[str, ...]) -> None:
        self.lab = lab
        self.name = name
        self.output = lab.directory / "bundles" / name
        path = lab.directory / f"{name}.toml"
        path.write_text(trial)
        where = () if "--local" in options else ("--broker", lab.url)
        words = (*FABRIC, "run", path, *where, "-o", self.output, *options)
        self.process = lab.spawn(name, words, place="operators")

    def wait(self, within_s: float = BOUND_S) -> int:
        """Wait for its end; return its exit code."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} is not over after {within_s} s:\n{self.end_of_said()}"
            ) from None

    def wait_said(self, text: str) -> None:
        """Wait until it has printed something."""
        until(lambda: text in self.said(), lambda: f"{text!r} in:\n{self.end_of_said()}")

    def wait_more(self, size: int) -> None:
        """Wait until it has printed so many bytes more."""
        log = self.lab.directory / f"{self.name}.log"
        wanted = log.stat().st_size + size
        until(lambda: log.stat().st_size >= wanted, self.end_of_said)

    def said(self) -> str:
        """Return what it has printed."""
        return self.lab.log(self.name)

    def end_of_said(self) -> str:
        """Return the last of it, for a message."""
        return self.said()[-3000:]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def signal_until_over(self, number: int) -> int:
        """Send a signal again and again, as somebody who wants to leave; return the exit code."""

        def is_over() -> bool:
            self.process.send_signal(number)
            return self.process.poll() is not None

        until(is_over, self.end_of_said)
        return self.wait()

    def end(self) -> None:
        """Kill it if it lives."""
        self.process.kill()
        self.process.wait()

    # --- the bundle -------------------------------------------------------------------------------------

    @property
    def bundle(self) -> Path:
        """Of the run."""
        (found,) = [path for path in self.output.iterdir() if path.name != "latest"]
        return found

    @property
    def run(self) -> str:
        """Id of the run."""
        return self.bundle.name

    @property
    def result(self) -> dict[str, Any]:
        """What result.json says."""
        result: dict[str, Any] = json.loads((self.bundle / "result.json").read_text())
        return result

    def out(self, repeat: int, phase: str, node: str, stream: str) -> bytes:
        """Return what a step has printed, by the bundle."""
        return (self.bundle / "out" / str(repeat) / phase / node / stream).read_bytes()

    def check_bundle(self) -> None:
        """It is complete, and every file is what the manifest says."""
        names = {str(path.relative_to(self.bundle)) for path in self.bundle.rglob("*") if path.is_file()}
        assert names >= IN_BUNDLE
        lines = (self.bundle / "MANIFEST.sha256").read_text().splitlines()
        listed = dict(reversed(line.split("  ", 1)) for line in lines)
        assert names - {"MANIFEST.sha256"} == set(listed)
        for name, digest in listed.items():
            assert hashlib.sha256((self.bundle / name).read_bytes()).hexdigest() == digest

"""What the benchmarks share: a broker with agents as processes, an operator without a bundle, medians."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from fabric.config import parse_url
from fabric.controller.connection import Connection
from fabric.controller.entry import Entry
from fabric.controller.runid import new_run_id
from fabric.keys import OperatorAccess
from fabric.protocol import messages as m

M = TypeVar("M", bound=m.Message)

PATIENCE_S = 60.0
S = 1_000_000_000
WAVE = 8
"""Agents that are started at once: each one's imports take a third of a second of a processor, and a broker
that shares two processors with 64 of them is not heard for longer than its peers wait."""

TICKS = os.sysconf("SC_CLK_TCK")

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its modules compiled

REPOSITORY = Path(__file__).resolve().parents[2]


class Lab:
    """A broker and its agents on a directory of their own, started as a user starts them.

    Args:
        nodes: Their names.
        place: In which the directory is made.
        cpus: None, or a processor for each node, to which it is bound with all that it starts.
        links: Called with the lab when its broker is there; returns the address that each node is to use.
        forked: Fork the agents from one process that has imported what they need (`nursery.py`), for there
            are so many that their imports would take minutes.
        extra: Environment of "broker" or "agents" alone, as far as they are forked.
        nice: Of forked agents and their programs, so that a broker has its processor as on its own machine.
    """

    def __init__(
        self,
        nodes: Sequence[str] = ("lab1",),
        place: Path | None = None,
        *,
        cpus: Sequence[int] | None = None,
        links: "Callable[[Lab], Mapping[str, str]] | None" = None,
        forked: bool = False,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        nice: int = 0,
    ) -> None:
        self._extra = extra or {}
        self._nice = nice
        self.directory = Path(tempfile.mkdtemp(prefix="bench-", dir=place))
        self.nodes = tuple(nodes)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._is_forked = forked
        try:
            self.access = self._start_broker()
            self._start_agents(links(self) if links else {}, cpus)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):  # the broker last
            process.terminate()
        for process in self.processes.values():
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """For commands of an operator of this lab."""
        return os.environ | {"XDG_CONFIG_HOME": str(self.directory), "FABRIC_BROKER": self.access.url}

    @property
    def join(self) -> str:
        """The token with which agents join."""
        return str(self._announced["join"])

    def ports(self) -> tuple[int, int, int, int]:
        """Return the ports of the broker: control, go, sink and feed."""
        with Operator(self.access) as operator:
            welcome = operator.welcome
        return parse_url(self.access.url).port, welcome.go_port, welcome.sink_port, welcome.feed_port

    def _start_broker(self) -> OperatorAccess:
        read_fd, write_fd = os.pipe()
        self._spawn(
            "broker",
            "broker",
            *("--listen", "tcp://127.0.0.1:0", "--state-dir", str(self.directory / "broker")),
            *("--announce-fd", str(write_fd)),
            pass_fd=write_fd,
        )
        os.close(write_fd)
        with os.fdopen(read_fd) as announcement:
            line = announcement.readline()
        if not line:
            raise SystemExit((self.directory / "broker.log").read_text())
        self._announced = json.loads(line)
        access = OperatorAccess.load(Path(self._announced["operator_file"]))
        assert access is not None
        return access

    def kill_broker(self) -> None:
        """End it as a crash does."""
        self.processes["broker"].kill()
        self.processes["broker"].wait()

    def start_broker_again(self) -> None:
        """Start it at the same address with the same state, without waiting for it."""
        state_dir = str(self.directory / "broker")
        self._spawn("broker", "broker", "--listen", self.access.url, "--state-dir", state_dir)

    def _start_agents(self, urls: Mapping[str, str], cpus: Sequence[int] | None) -> None:
        if self._is_forked:
            self._start_nursery()
        with Operator(self.access) as operator:
            for first in range(0, len(self.nodes), WAVE):
                wave = self.nodes[first : first + WAVE]
                for index, node in enumerate(wave, first):
                    self._start_agent(node, urls.get(node, self.access.url), cpus[index] if cpus else None)
                operator.await_free(wave)

    def _start_agent(self, node: str, url: str, cpu: int | None) -> None:
        words = (
            url,
            *("--join", self.join, "--name", node, "--addr", "=127.0.0.1"),
            *("--state-dir", str(self.directory / node)),
        )
        if not self._is_forked:
            self._spawn(node, "agents", *words, cpu=cpu)
            return
        nursery = self.processes["nursery"]
        assert nursery.stdin is not None
        nursery.stdin.write(json.dumps([str(self.directory / f"{node}.log"), *words]).encode() + b"\n")
        nursery.stdin.flush()

    def _start_nursery(self) -> None:
        self.processes["nursery"] = subprocess.Popen(
            ["nice", "-n", str(self._nice), sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            env=os.environ | {"XDG_CONFIG_HOME": str(self.directory), **self._extra.get("agents", {})},
        )

    def _spawn(
        self, name: str, module: str, *words: str, pass_fd: int | None = None, cpu: int | None = None
    ) -> None:
        bound = [] if cpu is None else ["taskset", "-c", str(cpu)]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*bound, sys.executable, "-m", module, *words],
                stderr=log,
                stdout=subprocess.DEVNULL,
                pass_fds=() if pass_fd is None else (pass_fd,),
                env=os.environ | {"XDG_CONFIG_HOME": str(self.directory), **self._extra.get(module, {})},
            )


class Operator:
    """Steers a run by hand and reads nothing of it, so that only the way into the record log is measured."""

    def __init__(self, access: OperatorAccess) -> None:
        self._connection = Connection(access, program="bench", patience_s=PATIENCE_S)
        self._is_measuring = False
        self._connection.wait_up()
        self._came: list[m.Message | Entry] = []
        self._connection.attach(self)
        self._run = ""
        self._node = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def welcome(self) -> m.Welcome:
        """What the broker said when it let this operator in."""
        assert self._connection.welcome is not None
        return self._connection.welcome

    def await_free(self, nodes: Sequence[str]) -> None:
        """Wait until all of the nodes can be had."""
        until_s = time.monotonic() + PATIENCE_S + 2 * len(nodes)
        while True:
            if set(nodes) <= {info.name for info in self.nodes() if info.state == "free"}:
                return
            assert time.monotonic() < until_s, "the agents did not come"
            self.pause(0.02)

    def nodes(self) -> tuple[m.NodeInfo, ...]:
        """Return what the broker knows of all nodes."""
        answer = self._connection.ask(m.NodesRequest(request=next(self._connection.numbers)), PATIENCE_S)
        assert isinstance(answer, m.Nodes)
        return answer.nodes

    def clock_offset(self, exchanges: int = 300) -> tuple[int, int]:
        """Return between what fabric time minus the monotonic clock lies, in nanoseconds.

        Both are clocks of this machine, so what every exchange proves holds for ever.
        """
        low, high = -(1 << 63), 1 << 63
        for _ in range(exchanges):
            self._connection.send(m.Probe(t1_ns=self._connection.now_ns()))
            reply = self.wait(m.ProbeReply)
            now_ns = self._connection.now_ns()
            low, high = max(low, reply.t3_ns - now_ns), min(high, reply.t2_ns - reply.t1_ns)
        return low, high

    def open_run(self, node: str) -> str:
        """Reserve a node, and let it know; return the run's id."""
        run = self.reserve(node)
        assign = m.Assign(run=run, node=node, on_lost="stop", lease_s=60.0, reset=())
        self._connection.send(assign)
        self.wait(m.Assigned)
        return run

    def reserve(self, node: str) -> str:
        """Open a run with a node that hears nothing of it; return the run's id."""
        self._is_measuring = True
        self._run, self._node = new_run_id("bench", time.time()), node
        request = next(self._connection.numbers)
        self._connection.send(
            m.OpenRun(
                request=request, run=self._run, name="bench", nodes=(node,), trial="", plan="{}", lease_s=60.0
            )
        )
        self.wait(m.RunOpened)
        return self._run

    def start(self, command: Sequence[str]) -> int:
        """Have the node start one step; return its t0 as an instant of `time.time_ns`."""
        step = m.Step(
            step="1/run/bench/step",
            verb="cmd",
            argv=tuple(command),
            env={},
            dir=None,
            timeout_s=None,
            at_s=None,
            ok=(0,),
            on_fail="stop",
            when="always",
            signal=15,
            grace_s=1.0,
        )
        prepare = m.Prepare(
            run=self._run,
            node=self._node,
            phase="1/run",
            end=(),
            failed=False,
            stopped=False,
            steps=(step,),
        )
        self._connection.send(prepare)
        ready = self.wait(m.Ready)
        start = m.StartPhase(
            run=self._run, phase="1/run", go=1, nodes=(self._node,), lead_s=None, max_rtt_ns=ready.rtt_ns
        )
        self._connection.send(start)
        return self.wait(m.GoCommitted).t0_ns

    def await_end_of_records(self) -> None:
        """Wait until the log grows no more and its last record is that of the phase's end."""
        last = -1
        while True:
            self.pause(0.02)
            answer = self._connection.ask(
                m.RunsRequest(request=next(self._connection.numbers), run=self._run, limit=1)
            )
            assert isinstance(answer, m.Runs)
            if answer.runs[0].last == last and self._is_finished(last):
                return
            last = answer.runs[0].last

    def _is_finished(self, number: int) -> bool:
        request = next(self._connection.numbers)
        self._came.clear()
        self._connection.send(m.Replay(request=request, run=self._run, number=number, limit_bytes=1))
        self.wait(m.ReplayEnd)
        entries = [one for one in self._came if isinstance(one, Entry)]
        return any(record.kind == "phase_finished" for entry in entries for record in entry.records)

    def free(self) -> None:
        """Let go of the node; it says so when its last record is acknowledged."""
        self._connection.send(m.Free(run=self._run, node=self._node))
        self.wait(m.Freed)

    def close_run(self) -> None:
        """End the run."""
        request = next(self._connection.numbers)
        self._connection.send(m.CloseRun(request=request, run=self._run, verdict="pass", result="{}"))
        self.wait(m.RunClosed)

    def wait(self, wanted: type[M]) -> M:
        """Return the next message of a kind; what came before it is dropped, but for entries."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            for message in self._came:
                if isinstance(message, wanted):
                    self._came.remove(message)
                    return message
                assert not isinstance(message, m.Denied), message
            assert time.monotonic() < until_s, f"no {wanted.__name__} in {PATIENCE_S:.0f} s"
            self._connection.turn()

    def pause(self, seconds: float) -> None:
        """Serve the connection for a while."""
        until_ns = self._connection.now_ns() + round(seconds * S)
        while self._connection.turn(until_ns) < until_ns:
            pass

    def on_up(self, _welcome: m.Welcome, _now_ns: int) -> None:
        """Nothing was asked before."""

    def on_down(self, sentence: str, _now_ns: int) -> None:
        """A measurement has no second try; agents that come up may well keep a broker from answering."""
        if self._is_measuring:
            raise SystemExit(f"the broker is gone: {sentence}")

    def on_entry(self, entry: Entry, _now_ns: int) -> None:
        """Keep it for who waits."""
        self._came.append(entry)

    def on_message(self, message: m.Message, _now_ns: int) -> None:
        """Keep it for who waits."""
        self._came.append(message)


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def end_cleanly() -> None:
    """Have SIGTERM end a benchmark as Ctrl-C does: with all that it has started."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def program(name: str) -> str:
    """Return the path of a command of this installation."""
    return str(Path(sys.executable).parent / name)


def rounds(ways: Mapping[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    """Do every way in turn, again and again, so that whatever else the machine does meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            found[name].append(way())
    return found


def spread(values: Sequence[float], unit: str, digits: int = 0) -> str:
    """Return median and range as text."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} {unit} ({low:.{digits}f} .. {high:.{digits}f})"


def ratio(values: Sequence[float], floor: Sequence[float]) -> float:
    """Return the ratio of the medians."""
    return statistics.median(values) / statistics.median(floor)

"""Any process of the fabric may die or stand still at any time, and nothing may be left."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.launcher import cgroup, starting, tree
from agents.launcher.client import LauncherClient, LauncherError
from agents.launcher.events import (
    Adopted,
    ArmFailed,
    Ended,
    Exited,
    LauncherDied,
    LeaseEnded,
    Started,
)

ROOT = str(Path(__file__).resolve().parents[2])

AGENT = f"""
import os, select, signal, sys, time
sys.path.insert(0, {ROOT!r})
from pathlib import Path
from agents.launcher import client
from agents.launcher.events import *
client.become_subreaper()
state, tails, lease_s, grace_s, cgroups = Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:6])
launcher = client.LauncherClient.start(state, lease_s=lease_s, grace_s=grace_s, cgroups=bool(cgroups))
for n, code in enumerate(sys.argv[6:]):
    launcher.arm(f"s{{n}}", [sys.executable, "-I", "-S", "-c", code], {{"PATH": os.environ["PATH"]}}, "/",
                 tails=(f"{{tails}}/{{n}}.out", f"{{tails}}/{{n}}.err") if tails else ("", ""))
    launcher.release([f"s{{n}}"])
print("launcher", launcher.pid, flush=True)
while True:
    launcher.beat()
    select.select([launcher], [], [], 0.1)
    for event in launcher.receive():
        print(type(event).__name__, flush=True)
        if isinstance(event, Armed):
            print("pipe", event.stdout_fd, flush=True)
        if isinstance(event, LauncherDied):
            print("orphans", launcher.kill_orphans(), flush=True)
            sys.exit()
"""

PRELUDE = "import os, signal, sys, time\n"
SLEEPER = PRELUDE + "time.sleep(1000)"
STUBBORN = PRELUDE + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.fork()\ntime.sleep(1000)"
DAEMON = PRELUDE + "if os.fork() == 0:\n os.setsid()\n if os.fork(): os._exit(0)\ntime.sleep(1000)"
# Without environment and parent, in a session of its own; the argument is for the eyes of the test alone.
BARE = PRELUDE + (
    "mark = os.environ['FABRIC_LAUNCHER']\n"
    "if os.fork() == 0:\n"
    " os.setsid()\n"
    " if os.fork(): os._exit(0)\n"
    " os.execve(sys.executable, ['python', '-ISc', 'import time; time.sleep(1000)', mark], {})\n"
    "time.sleep(1000)"
)
MARKED = [SLEEPER, STUBBORN, DAEMON]  # five processes
CODES = [*MARKED, BARE]  # and two


class Agent:
    """An agent in a process of its own, which can be killed or stopped, and its launcher."""

    def __init__(
        self,
        state_dir: Path,
        codes: list[str],
        *,
        tails: str = "",
        lease_s: float = 30.0,
        grace_s: float = 0.3,
        cgroups: bool = True,
    ) -> None:
        self.mark = starting.mark_of(state_dir)
        words = [str(state_dir), tails, str(lease_s), str(grace_s), str(int(cgroups)), *codes]
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, *words], stdout=subprocess.PIPE, text=True
        )
        self.launcher = int(self.wait("launcher").split()[1])
        for _ in codes:
            self.wait("Started")

    def wait(self, word: str) -> str:
        """Return the next line of the agent that begins so."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(word):
                return line
        raise AssertionError(f"the agent ended without {word}")

    def marked(self) -> list[int]:
        """Return the processes of its steps that live."""
        return [
            pid
            for pid in tree.everybody()
            if pid != self.launcher and self._is_marked(pid) and not tree.is_dead(pid)
        ]

    def _is_marked(self, pid: int) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return self.mark.encode() in words or tree.mark(pid, tree.LAUNCHER_MARK) == self.mark


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Makes agents; sees to it that neither they nor anything of theirs outlives the test."""
    made: list[Agent] = []

    def make(codes: list[str], **options: Any) -> Agent:
        state_dir = tmp_path / "state"
        state_dir.mkdir(exist_ok=True)
        made.append(Agent(state_dir, codes, **options))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()
        if each.process.stdout:
            each.process.stdout.close()
        if not gone(each.launcher):
            os.kill(each.launcher, signal.SIGKILL)
    starting.sweep_after_launcher(tmp_path / "state")


def until(done: Callable[[], object], what: str) -> None:
    """Look until something is so."""
    until_s = time.monotonic() + 20
    while not done():
        assert time.monotonic() < until_s, f"waited in vain for {what}"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    return tree.is_dead(pid)


@pytest.mark.parametrize("cgroups", [True, False], ids=["cgroups", "plain"])
def test_a_killed_agent_leaves_nothing(agent: Callable[..., Agent], tmp_path: Path, *, cgroups: bool) -> None:
    """`kill -9` of the agent: its launcher waits for the grace, ends all, and goes."""
    it = agent(CODES, cgroups=cgroups)
    until(lambda: len(it.marked()) == 7, "all processes")
    it.process.kill()
    until(lambda: gone(it.launcher), "the end of the launcher")
    assert it.marked() == []
    assert list((tmp_path / "state").iterdir()) == []
    directory = cgroup.directory_of(it.mark)
    assert not directory or not Path(directory).exists()


@pytest.mark.parametrize("cgroups", [True, False], ids=["cgroups", "plain"])
def test_a_killed_launcher_leaves_nothing(agent: Callable[..., Agent], *, cgroups: bool) -> None:
    """`kill -9` of the launcher: its agent, a subreaper too, gets the orphans and kills them."""
    it = agent(CODES, cgroups=cgroups)
    until(lambda: len(it.marked()) == 7, "all processes")
    os.kill(it.launcher, signal.SIGKILL)
    assert it.wait("orphans") == "orphans []\n"
    assert it.marked() == []
    directory = cgroup.directory_of(it.mark)
    assert not directory or not Path(directory).exists()


def test_both_killed_leaves_nothing_to_the_next(agent: Callable[..., Agent], tmp_path: Path) -> None:
    """Whoever starts next in the same state directory finds what is left by its mark."""
    it = agent(MARKED, cgroups=False)
    until(lambda: len(it.marked()) == 5, "all processes")
    it.process.kill()
    os.kill(it.launcher, signal.SIGKILL)
    until(lambda: gone(it.launcher), "the end of the launcher")
    client = LauncherClient.start(tmp_path / "state", lease_s=10, cgroups=False)
    it.launcher = client.pid
    assert it.marked() == []
    assert not client.is_adopted
    client.kill()
    starting.sweep_after_launcher(tmp_path / "state")


def test_a_launcher_that_stands_still_can_be_killed(plain_lab: Any) -> None:
    """A stopped launcher answers no beat; the agent sees it by `heard_ns` and is not blocked meanwhile."""
    lab = plain_lab
    lab.start("a", lab.python("time.sleep(1000)"))
    lab.wait(Started, "a")
    os.kill(lab.client.pid, signal.SIGSTOP)
    heard_ns = lab.client.heard_ns
    lab.until(lambda: time.monotonic_ns() - heard_ns > 1_000_000_000, "a second of silence")
    lab.client.beat()
    assert lab.client.heard_ns == heard_ns
    assert lab.client.kill_orphans() == []
    assert lab.left() == []
    (lab.state_dir / starting.SOCKET_NAME).unlink()  # else the next launcher here does it


def test_a_silent_agent_loses_its_steps_and_hears_of_it(agent: Callable[..., Agent]) -> None:
    """Its socket is open, yet it may never come back; when it does, it is told."""
    it = agent(CODES, lease_s=0.5)
    it.process.send_signal(signal.SIGSTOP)
    until(lambda: not it.marked(), "the end of all steps")
    assert not gone(it.launcher)
    it.process.send_signal(signal.SIGCONT)
    it.wait("LeaseEnded")
    it.wait("Exited")
    it.wait("Ended")


def test_a_beating_agent_keeps_its_lease_and_what_it_holds(lab: Any, tmp_path: Path) -> None:
    """The lease counts from the last word, not from the first; a barrier may wait for many leases.

    What was held for so long is dropped as if it had just been armed: it has never run.
    """
    lab.client.kill()
    lab.client = LauncherClient.start(lab.state_dir, lease_s=1.0, grace_s=0.5, cgroups=False)
    made = tmp_path / "made"
    lab.start("a", lab.python("time.sleep(1000)"))
    held = lab.arm("held", lab.sh(f"touch {made}"))
    until_s = time.monotonic() + 2.2
    lab.until(lambda: time.monotonic() > until_s, "two leases")
    assert not tree.is_dead(held.pid)
    lab.client.drop("held")
    assert lab.read(held.stdout_fd) == b""
    lab.until(lambda: tree.is_dead(held.pid), "the end of what was held")
    assert not made.exists()
    told = [event for event in lab.events if isinstance(event, LeaseEnded | Exited | Ended)]
    assert not told + [event for event in lab.events if isinstance(event, Started) and event.key == "held"]


def test_the_output_of_a_killed_agent_goes_to_the_tails(agent: Callable[..., Agent], tmp_path: Path) -> None:
    """What no agent has read is kept beside the spool: more than a pipe holds, and what TERM brings forth."""
    code = PRELUDE + (
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'z' * (3 << 20)), os._exit(0)))\n"
        "os.write(1, b'first'); os.write(2, b'error')\n"
        "while True: signal.pause()"
    )
    tails = tmp_path / "tails"
    tails.mkdir()
    it = agent([code], tails=str(tails))
    until(lambda: _caught(it), "the handler")
    it.process.kill()
    until(lambda: gone(it.launcher), "the end of the launcher")
    assert (tails / "0.out.tail").read_bytes() == b"first" + b"z" * (3 << 20)
    assert (tails / "0.err.tail").read_bytes() == b"error"


def test_the_output_of_a_step_that_had_ended_goes_to_the_tails_too(
    agent: Callable[..., Agent], tmp_path: Path
) -> None:
    """The agent was slower than the program, and then it was gone."""
    it = agent([PRELUDE + "os.write(1, b'only')"], tails=str(tmp_path), lease_s=30.0)
    it.wait("Ended")
    it.process.kill()
    until(lambda: gone(it.launcher), "the end of the launcher")
    assert (tmp_path / "0.out.tail").read_bytes() == b"only"
    assert not (tmp_path / "0.err.tail").exists()


def _caught(it: Agent) -> bool:
    """Whether the step has its handler for TERM."""
    for pid in it.marked():
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught & 1 << signal.SIGTERM - 1)
    return False


def test_the_next_agent_takes_over(lab: Any) -> None:
    """An agent is upgraded under a running step: nothing of its output is lost, and its end is reported."""
    counter = "for n in range(200000): os.write(1, b'%08d\\n' % n)\nsys.exit(5)"
    armed = lab.start("runs", lab.python(counter))
    started = lab.wait(Started, "runs")
    select.select([armed.stdout_fd], [], [], 20)
    first = os.read(armed.stdout_fd, 90_000)
    waiting = lab.arm("waits", lab.python("os.write(1, b'late')"))
    gone_step = lab.start("ended", ["true"])
    ended = lab.wait(Ended, "ended")
    fds = [fd for each in (armed, waiting, gone_step) for fd in (each.stdout_fd, each.stderr_fd)]
    lab.client.close()
    for fd in fds:
        os.close(fd)

    first_process = lab.client._process
    lab.client = LauncherClient.start(lab.state_dir, lease_s=10, grace_s=0.5)
    lab.events.clear()
    assert lab.client.is_adopted
    assert lab.client.pid == first_process.pid
    steps = {step.key: step for step in lab.wait(Adopted).steps}
    assert {key: step.state for key, step in steps.items() if key != "runs"} == {
        "waits": "armed",
        "ended": "ended",
    }
    assert steps["runs"].events[0] == started
    assert steps["ended"].events[-1] == ended
    rest = lab.read(steps["runs"].stdout_fd)
    assert first + rest == b"".join(b"%08d\n" % n for n in range(200_000))
    assert lab.wait(Exited, "runs").exit_code == 5
    lab.client.release(["waits"])
    assert lab.read(steps["waits"].stdout_fd) == b"late"
    lab.wait(Ended, "waits")
    lab.client.quit()
    lab.wait(LauncherDied)
    first_process.wait()


def test_only_one_agent_at_a_time(plain_lab: Any) -> None:
    """Two agents over one state directory would both believe that they own the steps."""
    lab = plain_lab
    with pytest.raises(LauncherError, match="another agent"):
        LauncherClient.start(lab.state_dir, lease_s=10)
    lab.start("a", ["true"])
    lab.wait(Ended, "a")  # the first one is not disturbed


def test_garbage_on_the_socket_harms_nobody(plain_lab: Any) -> None:
    """The launcher gives the connection up, like that of an agent that died; the next may come."""
    lab = plain_lab
    lab.start("a", lab.python("time.sleep(1000)"))
    lab.wait(Started, "a")
    lab.client._channel._sock.send(b"\xff" * 100)
    lab.wait(LauncherDied)
    process = lab.client._process
    lab.client = LauncherClient.start(lab.state_dir, lease_s=10)
    assert [step.state for step in lab.wait(Adopted).steps] == ["running"]
    lab.client.quit()
    lab.wait(LauncherDied)
    process.wait()


def test_nobody_else_may_connect(plain_lab: Any) -> None:
    """The socket is the user's alone, by its mode and by the peer's credentials."""
    assert (plain_lab.state_dir / starting.SOCKET_NAME).stat().st_mode & 0o777 == 0o600


def test_term_ends_everything(plain_lab: Any) -> None:
    """As a service manager does it; INT and HUP of a terminal do not concern it."""
    lab = plain_lab
    lab.start("a", lab.python("time.sleep(1000)"))
    lab.wait(Started, "a")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(lab.client.pid, number)
    assert lab.wait(Exited, "a").signal == signal.SIGTERM
    lab.wait(Ended, "a")
    lab.wait(LauncherDied)
    lab.client.kill()


def test_a_launcher_that_ends_arms_nothing_more(plain_lab: Any) -> None:
    """What it still started would be killed at once."""
    lab = plain_lab
    armed = lab.start(
        "a", lab.python("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.write(1, b'x')\ntime.sleep(9)")
    )
    lab.read(armed.stdout_fd, b"x")
    lab.client.quit()
    lab.client.arm("b", ["true"], lab.env, "/")
    assert "ending" in lab.wait(ArmFailed, "b").sentence
    lab.wait(LauncherDied)
    lab.client.kill()


def test_a_state_directory_may_have_a_long_name(tmp_path: Path) -> None:
    """A Unix address has 108 bytes; a path may have 4096."""
    state_dir = tmp_path / ("x" * 200) / ("y" * 200)
    state_dir.mkdir(parents=True)
    client = LauncherClient.start(state_dir, lease_s=10, grace_s=0.2)
    client.close()
    until(lambda: not (state_dir / starting.SOCKET_NAME).exists(), "the end of the launcher")
    client.kill()


def test_a_launcher_whose_agent_never_came_leaves(tmp_path: Path) -> None:
    """The agent may die between starting it and connecting."""
    process, sock = starting.launch(
        tmp_path, lease_s=10, grace_s=0.2, cgroups=False, depth="link", spins=True
    )
    sock.close()
    assert process.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_stale_socket_is_no_launcher(tmp_path: Path) -> None:
    """It is what `kill -9` leaves."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / starting.SOCKET_NAME))
    client = LauncherClient.start(tmp_path, lease_s=10)
    assert not client.is_adopted
    client.kill()
    starting.sweep_after_launcher(tmp_path)

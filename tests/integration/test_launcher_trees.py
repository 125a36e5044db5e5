"""Ending trees: nothing is left, however the program has spread.  See reference/processes.md."""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.launcher.events import Ended, Exited, Started

FOREVER = "time.sleep(1000)"
SAY = "os.write(1, b'ready\\n')"
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

DAEMON = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {SAY}; {FOREVER}
    os._exit(0)
os.wait()
"""

BARE_DAEMON = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {SAY}
        null = os.open('/dev/null', os.O_RDWR)
        for fd in (0, 1, 2): os.dup2(null, fd)
        os.execve('/bin/sh', ['sh', '-c', 'while :; do read x < /dev/null; sleep 5; done', sys.argv[1]], {{}})
    os._exit(0)
os.wait()
"""

SHED = f"""
went, go = os.pipe()
if os.fork() == 0:
    os.setsid()
    {IGNORE}
    null = os.open('/dev/null', os.O_RDWR)
    for fd in (0, 1, 2): os.dup2(null, fd)
    os.set_inheritable(go, True)
    sleep = f'import os, time; os.write({{go}}, b"x"); time.sleep(1000)'
    os.execve(sys.executable, ['python', '-ISc', sleep, sys.argv[1]], {{}})
os.read(went, 1)
{SAY}
"""

CHAIN = f"""
{IGNORE}
{SAY}
while True:
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.0005)
    else:
        os._exit(0)
"""

TREES = {
    "plain child": FOREVER,
    "background child": f"if os.fork() == 0: {SAY}; {FOREVER}\n{FOREVER}",
    "session of its own": f"if os.fork() == 0: os.setsid(); {SAY}; {FOREVER}\n{FOREVER}",
    "daemon": DAEMON + FOREVER,
    "daemon without mark or pipe": BARE_DAEMON + FOREVER,
    "ignores TERM": f"{IGNORE}\nif os.fork() == 0: {SAY}; {FOREVER}\n{FOREVER}",
    "stopped": f"if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)\nelse: {SAY}\n{FOREVER}",
    "stops itself": f"{SAY}\nos.kill(os.getpid(), signal.SIGSTOP)\n{FOREVER}",
    "many children": f"for _ in range(30):\n if os.fork() == 0: {FOREVER}\n{SAY}\n{FOREVER}",
    "forks for ever": f"{IGNORE}\n{SAY}\nwhile True:\n if os.fork() == 0: {FOREVER}\n time.sleep(0.002)",
    "hands itself on": CHAIN,
}


@pytest.mark.parametrize("name", [name for name in TREES if name != "hands itself on"])
def test_end_leaves_nothing_of_a_tree(lab: Any, name: str) -> None:
    """A reset is only true if nothing of the step runs on."""
    code = TREES[name]
    says = SAY in code
    armed = lab.start("a", lab.python(code))
    lab.wait(Started, "a")
    if says:
        lab.read(armed.stdout_fd, b"ready")

    lab.client.end("a", signal.SIGTERM, 0.2)
    assert lab.wait(Exited, "a").signal in (signal.SIGTERM, signal.SIGKILL)
    assert lab.wait(Ended, "a").survivors == ()
    assert lab.left() == []


@pytest.mark.parametrize("code", [DAEMON, BARE_DAEMON, CHAIN], ids=["daemon", "bare daemon", "chain"])
def test_what_outlives_its_leader_is_ended_soon(lab: Any, code: str) -> None:
    """A `cmd` is over when its program is; a daemon that it leaves would disturb the next step."""
    armed = lab.start("a", lab.python(code))
    lab.read(armed.stdout_fd, b"ready")
    exited = lab.wait(Exited, "a")
    assert (exited.exit_code, exited.signal) == (0, None)
    ended = lab.wait(Ended, "a")
    assert ended.survivors == ()
    assert ended.had_rest
    assert lab.left() == []


def test_an_ordinary_end_is_told_at_once(lab: Any) -> None:
    """Nothing of the tree is left, so there is nothing to wait for; code and resources are reported."""
    lab.start("a", lab.python("sys.exit(sum(range(100000)) and 7)"))
    exited, ended = lab.wait(Exited, "a"), lab.wait(Ended, "a")
    assert (exited.exit_code, exited.signal) == (7, None)
    assert exited.user_s + exited.system_s > 0
    assert exited.max_rss_kib > 1000
    assert (ended.survivors, ended.had_rest, ended.pipe_rest) == ((), False, False)


def test_a_grace_is_given_to_the_whole_tree(lab: Any) -> None:
    """The shell dies of TERM at once; the server that it started may still tidy up."""
    server = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), os.write(1, b'tidy'), os._exit(0)))"
    code = f"if os.fork() == 0:\n {server}\n {SAY}\n while True: signal.pause()\n{FOREVER}"
    armed = lab.start("a", lab.python(code))
    lab.read(armed.stdout_fd, b"ready")
    lab.client.end("a", signal.SIGTERM, 5.0)
    assert lab.wait(Exited, "a").signal == signal.SIGTERM
    assert lab.read(armed.stdout_fd).endswith(b"tidy")
    assert lab.wait(Ended, "a").survivors == ()


def test_the_end_of_one_step_spares_the_others(lab: Any) -> None:
    """Steps run side by side; orphans of one are told from those of another."""
    for key in ("a", "b"):
        armed = lab.start(key, lab.python(DAEMON + FOREVER))
        lab.read(armed.stdout_fd, b"ready")
    assert len(lab.left()) == 4
    lab.client.end("a", signal.SIGTERM, 0.2)
    assert lab.wait(Ended, "a").survivors == ()
    assert len(lab.left()) == 2
    lab.client.end("b", signal.SIGKILL, 0.0)
    lab.wait(Ended, "b")
    assert lab.left() == []


def test_a_child_that_sheds_everything_is_known_by_its_parent(lab: Any) -> None:
    """Session, environment and pipes say nothing of it, and another step lives: it was seen in the tree."""
    bystander = lab.start("b", lab.python(f"{SAY}\n{FOREVER}"))
    lab.read(bystander.stdout_fd, b"ready")
    armed = lab.start("a", lab.python(SHED + FOREVER))
    lab.read(armed.stdout_fd, b"ready")
    lab.client.end("a", signal.SIGTERM, 0.2)
    assert lab.wait(Ended, "a").survivors == ()
    assert lab.left() == [bystander.pid]


def test_what_nobody_can_attribute_ends_with_the_last_step(lab: Any) -> None:
    """It may be any step's as long as several live, so it is spared; after that it is nobody's."""
    bystander = lab.start("b", lab.python(f"{SAY}\n{FOREVER}"))
    lab.read(bystander.stdout_fd, b"ready")
    armed = lab.start("a", lab.python(BARE_DAEMON))
    lab.read(armed.stdout_fd, b"ready")
    assert lab.wait(Ended, "a").survivors == ()
    lab.client.end("b", signal.SIGTERM, 0.2)
    assert lab.wait(Ended, "b").survivors == ()
    assert lab.left() == []


def test_the_signal_is_the_one_that_was_asked_for(lab: Any) -> None:
    """Some programs flush on INT and not on TERM."""
    armed = lab.start("a", lab.python(f"try: {SAY}; {FOREVER}\nexcept KeyboardInterrupt: sys.exit(42)"))
    lab.read(armed.stdout_fd, b"ready")
    lab.client.end("a", signal.SIGINT, 10.0)
    assert lab.wait(Exited, "a").exit_code == 42


def test_a_stopped_program_is_woken_to_obey(lab: Any) -> None:
    """TERM waits until a stopped program goes on; it shall not cost the grace and the tidy end."""
    code = (
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
        "if os.fork() == 0: os.kill(os.getppid(), signal.SIGSTOP); os.write(1, b'ready'); os._exit(0)\n"
        "time.sleep(1000)"
    )
    armed = lab.start("a", lab.python(code))
    lab.read(armed.stdout_fd, b"ready")
    lab.client.end("a", signal.SIGTERM, 15.0)
    assert lab.wait(Exited, "a").exit_code == 7


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A frozen place in which not even KILL is obeyed, as in an uninterruptible wait."""
    path = Path("/sys/fs/cgroup/freezer") / f"testfabric-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no freezer of cgroup v1 that this user may use")
    yield path
    (path / "freezer.state").write_text("THAWED")
    for _ in range(1000):
        try:
            path.rmdir()
        except OSError:
            select.select([], [], [], 0.005)
        else:
            return


def test_what_cannot_be_killed_is_named_and_not_forgotten(lab: Any, freezer: Path) -> None:
    """The run goes on and says who survives; when it can die at last, it does."""
    armed = lab.start("a", lab.python(f"{SAY}\n{FOREVER}"))
    lab.read(armed.stdout_fd, b"ready")
    (freezer / "cgroup.procs").write_text(str(armed.pid))
    (freezer / "freezer.state").write_text("FROZEN")
    lab.until(lambda: (freezer / "freezer.state").read_text() == "FROZEN\n", "the frost")

    lab.client.end("a", signal.SIGTERM, 0.1)
    exited = lab.wait(Exited, "a")
    assert (exited.exit_code, exited.signal) == (None, None)
    assert lab.wait(Ended, "a").survivors == (armed.pid,)

    bystander = lab.start("b", ["true"])
    assert lab.wait(Exited, "b").exit_code == 0
    assert lab.wait(Ended, "b").survivors == ()
    lab.client.drained("a")
    (freezer / "freezer.state").write_text("THAWED")
    lab.until(lambda: not lab.left(), "its end")
    assert bystander.pid != armed.pid
    assert not [event for event in lab.events if isinstance(event, Exited | Ended)]


def test_what_was_daemonized_and_ends_meanwhile_is_no_zombie(lab: Any) -> None:
    """The launcher is the parent of every orphan, so it has to bury each."""
    code = (
        "for _ in range(50):\n"
        " if os.fork() == 0:\n"
        "  if os.fork() == 0: os._exit(0)\n"
        "  os._exit(0)\n"
        " os.wait()\n"
        f"{SAY}\n{FOREVER}"
    )
    armed = lab.start("a", lab.python(code))
    lab.read(armed.stdout_fd, b"ready")
    children = Path(f"/proc/{lab.client.pid}/task/{lab.client.pid}/children")
    lab.until(lambda: children.read_text().split() == [str(armed.pid)], "the end of the zombies")

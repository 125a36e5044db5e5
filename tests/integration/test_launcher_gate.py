"""From arming to exec: nothing runs before its instant, and what cannot run is told."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agents.launcher.events import Armed, ArmFailed, Ended, Exited, Held, Started, StartFailed

CLOCK = "os.write(1, str(time.monotonic_ns()).encode())"


def test_nothing_of_the_program_runs_before_the_release(lab: Any, tmp_path: Path) -> None:
    """The barrier of a phase lies between arming and release."""
    made = tmp_path / "made"
    armed = lab.arm("a", lab.sh(f"touch {made}"))
    assert Path(f"/proc/{armed.pid}/exe").samefile("/bin/sh")
    assert not made.exists()
    lab.client.release(["a"])
    assert lab.wait(Exited, "a").exit_code == 0
    assert made.exists()


def test_a_release_is_never_early_and_hardly_late(lab: Any) -> None:
    """Steps of one instant start together; one with an offset starts at its own."""
    keys = ["a", "b", "c", "later"]
    steps = {key: lab.arm(key, lab.python(CLOCK)) for key in keys}
    t0_ns = time.monotonic_ns() + 200_000_000
    instants = dict.fromkeys(keys, t0_ns) | {"later": t0_ns + 100_000_000}
    lab.client.release(["later"], instants["later"])
    lab.client.release(keys[:3], t0_ns)

    for key in keys:
        started = lab.wait(Started, key)
        ran_ns = int(lab.read(steps[key].stdout_fd))
        assert instants[key] <= started.released_ns <= started.t_ns
        assert started.released_ns < ran_ns
        assert started.event == "release"
        assert started.released_ns - instants[key] < 50_000_000  # a loaded machine; see docs/launcher.md


def test_a_release_of_zero_is_at_once(lab: Any) -> None:
    """The second step of a role follows on the first."""
    before_ns = time.monotonic_ns()
    lab.start("a", lab.python(CLOCK))
    assert lab.wait(Started, "a").released_ns > before_ns


def test_hold_takes_a_release_back(lab: Any) -> None:
    """After an abort nobody may have started, and the same process can be released for the next try."""
    armed = lab.arm("a", lab.python(CLOCK))
    t0_ns = time.monotonic_ns() + 300_000_000
    lab.client.release(["a"], t0_ns)
    lab.client.hold(["a"])
    assert lab.wait(Held) == Held(("a",), ())
    lab.until(lambda: time.monotonic_ns() > t0_ns + 50_000_000, "the instant")
    assert not [event for event in lab.events if isinstance(event, Started)]

    lab.client.release(["a"])
    assert lab.wait(Started, "a").released_ns > t0_ns
    assert int(lab.read(armed.stdout_fd)) > t0_ns


def test_hold_after_the_release_says_so(lab: Any) -> None:
    """The node then reports that it has started, so that the phase is not tried again over it."""
    lab.start("a", lab.python("time.sleep(1000)"))
    lab.wait(Started, "a")
    lab.client.hold(["a", "never armed"])
    assert lab.wait(Held) == Held((), ("a", "never armed"))
    lab.client.end("a", signal.SIGKILL, 0)
    lab.wait(Ended, "a")


@pytest.mark.parametrize(
    ("argv", "directory", "sentence"),
    [
        (["no-such-program"], "/", "'no-such-program' in the PATH"),
        (["/etc/passwd"], "/", "is not executable"),
        (["true"], "/no/such/dir", "does not exist"),
    ],
)
def test_what_cannot_start_is_refused_when_it_is_armed(
    plain_lab: Any, argv: list[str], directory: str, sentence: str
) -> None:
    """A phase must not begin on the other nodes when it cannot begin here."""
    plain_lab.client.arm("a", argv, plain_lab.env, directory)
    assert sentence in plain_lab.wait(ArmFailed, "a").sentence
    assert plain_lab.left() == []


def test_a_key_is_armed_once(plain_lab: Any) -> None:
    """Two processes under one name could not be told apart."""
    plain_lab.arm("a", ["true"])
    plain_lab.client.arm("a", ["true"], plain_lab.env, "/")
    assert "already" in plain_lab.wait(ArmFailed, "a").sentence
    plain_lab.client.drop("a")
    assert isinstance(plain_lab.arm("a", ["true"]), Armed)
    plain_lab.client.drop("a")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("#!/no/such/interpreter\n", "interpreter"), ("no program at all\n", "Exec format error")],
)
def test_a_failing_exec_is_told_with_its_reason(lab: Any, tmp_path: Path, text: str, sentence: str) -> None:
    """An exit code 127 of a program that never was would be counted as the test's."""
    script = tmp_path / "script"
    script.write_text(text)
    script.chmod(0o755)
    lab.client.arm("a", [str(script)], lab.env, "/")
    failed = lab.wait(ArmFailed, "a")
    assert sentence in failed.sentence
    assert str(script) in failed.sentence


def test_a_failing_exec_is_told_at_the_release_by_who_waits_before_it(gate_lab: Any, tmp_path: Path) -> None:
    """The fallback finds it later, and says the same."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    armed = gate_lab.start("a", [str(script)])
    failed = gate_lab.wait(StartFailed, "a")
    assert "interpreter" in failed.sentence
    assert str(script) in failed.sentence
    assert gate_lab.read(armed.stdout_fd) == b""


def test_who_waits_at_its_gate_has_not_been_executed(gate_lab: Any, tmp_path: Path) -> None:
    """What it starts from is its exec, and the record says so."""
    made = tmp_path / "made"
    armed = gate_lab.arm("a", gate_lab.sh(f"touch {made}"))
    assert Path(f"/proc/{armed.pid}/exe").samefile(f"/proc/{gate_lab.client.pid}/exe")
    t0_ns = time.monotonic_ns() + 20_000_000
    gate_lab.client.release(["a"], t0_ns)
    started = gate_lab.wait(Started, "a")
    assert (started.event, started.way) == ("exec", "gate")
    assert started.way_why == "the agent was told not to trace"
    assert started.ordered_ns < t0_ns <= started.woke_ns <= started.released_ns < started.t_ns
    assert gate_lab.wait(Exited, "a").exit_code == 0
    assert made.exists()


def test_a_dropped_step_is_gone_without_having_run(lab: Any, tmp_path: Path) -> None:
    """Its phase was refused by another node."""
    made = tmp_path / "made"
    armed = lab.arm("a", lab.sh(f"touch {made}"))
    lab.client.drop("a")
    assert lab.read(armed.stdout_fd) == b""
    lab.until(lambda: not lab.left(), "the end of the child")
    assert not made.exists()
    assert not [event for event in lab.events if isinstance(event, Started | Exited | Ended)]


def test_ending_a_step_before_its_release_is_told_like_any_end(lab: Any) -> None:
    """A step with an offset may be waiting when its phase is cancelled."""
    lab.arm("a", ["true"])
    lab.client.release(["a"], time.monotonic_ns() + 60_000_000_000)
    lab.client.end("a", signal.SIGTERM, 1.0)
    assert lab.wait(Exited, "a").signal == signal.SIGKILL
    assert lab.wait(Ended, "a") == Ended("a", (), pipe_rest=False, had_rest=False)
    assert not [event for event in lab.events if isinstance(event, Started)]


def test_a_program_finds_what_it_would_find_without_the_launcher(lab: Any) -> None:
    """Session, signals, descriptors, timers, priority and umask are not the launcher's."""
    code = (
        "import os\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "fds = sorted(os.listdir('/proc/self/fd'))[:4]\n"  # the fourth is that of the listing
        "print(fds, [int(status[name], 16) for name in ('SigBlk', 'SigIgn')], os.getsid(0) == os.getpid(),\n"
        "      open('/proc/self/timerslack_ns').read().strip(), os.sched_getscheduler(0), os.getcwd(),\n"
        "      oct(os.umask(0)), os.readlink('/proc/self/fd/0'), sep='|')"
    )
    program = [sys.executable, "-I", "-S", "-X", "utf8=0", "-c", code, lab.token]
    lab.client.arm("a", program, lab.env, "/tmp", umask=0o27)
    armed = lab.wait(Armed, "a")
    lab.client.release(["a"])
    said = lab.read(armed.stdout_fd) + lab.read(armed.stderr_fd)
    slack = Path("/proc/self/timerslack_ns").read_text().strip()
    # Python itself ignores PIPE and XFSZ.
    ignored = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    wanted = (["0", "1", "2", "3"], [0, ignored], True, slack, 0, "/tmp", "0o27", "/dev/null")
    assert said.decode().strip() == "|".join(map(str, wanted))


def test_the_environment_is_the_one_that_was_given(lab: Any) -> None:
    """Complete, byte for byte, and nothing of the agent's own."""
    lab.env["BYTES"] = b"\xff\xfe".decode("utf-8", "surrogateescape")
    armed = lab.start("a/1", ["env", "-0"])
    lines = [line for line in lab.read(armed.stdout_fd).split(b"\0") if line]
    names = {line.partition(b"=")[0] for line in lines}
    assert names == {b"PATH", b"BYTES", b"FABRIC_STEP", b"FABRIC_LAUNCHER"}
    assert b"BYTES=\xff\xfe" in lines
    assert b"FABRIC_STEP=a/1" in lines


def test_more_commands_than_the_socket_holds(plain_lab: Any) -> None:
    """A caller that only polls for reading must not wait for ever for what it has not sent."""
    lab = plain_lab
    lab.env["PAD"] = "x" * 20_000
    keys = [f"k{n}" for n in range(100)]
    os.kill(lab.client.pid, signal.SIGSTOP)
    for key in keys:
        lab.client.arm(key, ["true"], lab.env, "/")
    assert lab.client.wants_write
    os.kill(lab.client.pid, signal.SIGCONT)
    for key in keys:
        lab.wait(Armed, key)
        lab.client.drop(key)


def test_two_hundred_steps_at_once(lab: Any) -> None:
    """One node may play many roles; none may be early, none forgotten."""
    keys = [f"k{n}" for n in range(200)]
    steps = [lab.arm(key, ["true"]) for key in keys]
    t0_ns = time.monotonic_ns() + 50_000_000
    lab.client.release(keys, t0_ns)
    for key in keys:
        assert lab.wait(Started, key).released_ns >= t0_ns
        assert lab.wait(Exited, key).exit_code == 0
        assert lab.wait(Ended, key).survivors == ()
        lab.client.drained(key)
    for step in steps:
        os.close(step.stdout_fd)
        os.close(step.stderr_fd)
    fds = Path(f"/proc/{lab.client.pid}/fd")
    lab.until(lambda: len(list(fds.iterdir())) < 20, "the launcher's descriptors")

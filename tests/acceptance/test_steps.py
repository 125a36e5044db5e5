"""What becomes of the programs of a trial, seen as its author sees it: exit code, result, files of output."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_local import bundle_of, processes_with

HEAD: Final = """
[trial]
name = "steps"
"""

DAEMON: Final = """
import os, sys, time
print("parent", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
"""

TREES: Final = """
[run]
daemon   = { cmd = ["PYTHON", "-c", '''DAEMON'''] }
swarm    = { cmd = "for i in $(seq 100); do setsid sleep 600 & done; echo sown" }
nested   = { cmd = "sh -c 'sh -c \\"sleep 600 & echo inner; sleep 600\\" & sleep 600' & echo outer" }
holder   = { cmd = "(sleep 600; echo never) & echo gone" }
closer   = { cmd = "echo last; exec >&- 2>&-; sleep 0.5; exit 7", ok = [7] }

[[run.stubborn]]
cmd     = "trap '' TERM INT HUP; echo here; while :; do sleep 600; done"
timeout = "300ms"
grace   = "200ms"
on_fail = "continue"

[[run.asleep]]
cmd     = "kill -STOP $$; echo never"
timeout = "300ms"
grace   = "200ms"
on_fail = "continue"
"""

WAYS: Final = """
[[startup.spawned]]
name   = "asked"
spawn  = "trap 'echo interrupted; exit 5' INT; echo up; while :; do sleep 0.05; done"
signal = "INT"

[[startup.spawned]]
name  = "long"
spawn = "echo $$ > long.pid; exec sleep 600"
until = "reset"

[run]
stdin   = { cmd = "readlink /proc/self/fd/0; wc -c" }
code    = { cmd = "exit 42", ok = [0, 42] }
killed  = { cmd = "kill -SEGV $$", on_fail = "continue" }
wrong   = { cmd = "echo to stderr >&2; exit 3", on_fail = "continue" }
where   = { cmd = "pwd; echo $WHO", dir = "/usr/lib", env = { WHO = "$my_name!" } }
late    = { cmd = "true", at = "400ms" }
argv    = { cmd = ["printf", "%s|", "a b", "$HOME", ""] }

[collect]
spawned = "kill -0 $(cat long.pid) && echo alive"
"""

FAILURE: Final = """
[[run.one]]
name = "breaks"
cmd  = "echo because >&2; exit 9"

[[run.one]]
name = "left-out"
cmd  = "true"

[[run.one]]
name = "explains"
cmd  = "echo explained"
when = "failed"

[[run.two]]
name = "busy"
cmd  = "sleep 600"

[[run.two]]
name = "anyway"
cmd  = "echo anyway"
when = "always"

[[collect.one]]
name = "not-wanted"
cmd  = "true"

[[collect.one]]
name = "wanted"
cmd  = "true"
when = "always"

[reset]
one = "echo clean"
"""


class Ran:
    """A trial that was run, and what came of it."""

    def __init__(self, text: str, command: Command, tmp_path: Path) -> None:
        path = tmp_path / "steps.toml"
        path.write_text(text)
        self.done = command("fabric-run", "--local", str(path))
        self.bundle = bundle_of(tmp_path)
        self.result: dict[str, Any] = json.loads((self.bundle / "result.json").read_text())
        self.steps: dict[str, dict[str, Any]] = {step["step"]: step for step in self.result["steps"]}

    def ends(self, *fields: str) -> dict[str, tuple[Any, ...]]:
        """Return some fields of every step that has run, by its name without the number."""
        ran = {name: step for name, step in self.steps.items() if step["state"] == "finished"}
        return {name.removesuffix("-1"): tuple(step[field] for field in fields) for name, step in ran.items()}

    def out(self, step: str, stream: str = "stdout", phase: str = "run") -> str:
        """Return what a step has printed."""
        return (self.bundle / "out" / "1" / phase / "n1" / f"{step}.{stream}").read_text()


def trial(body: str, *roles: str) -> str:
    """Return a trial whose roles are all played by one node."""
    nodes = "\n".join(f'{role} = "n1"' for role in roles)
    return f"{HEAD}\n[nodes]\n{nodes}\n{body}"


def test_a_step_ends_with_all_that_it_has_started(
    command: Command, home: dict[str, str], tmp_path: Path
) -> None:
    """A double fork, a swarm, one that ignores TERM, one that stands still, one that closes its output."""
    roles = ("daemon", "swarm", "nested", "stubborn", "asleep", "holder", "closer")
    ran = Ran(
        trial(TREES.replace("PYTHON", sys.executable).replace("DAEMON", DAEMON), *roles), command, tmp_path
    )

    assert ran.done.returncode == 1, ran.done.stdout
    assert ran.ends("reason", "failed", "exit_code", "signal", "survivors") == {
        "daemon": ("exited", False, 0, None, []),
        "swarm": ("exited", False, 0, None, []),
        "nested": ("exited", False, 0, None, []),
        "stubborn": ("timeout", True, None, 9, []),
        "asleep": ("timeout", True, None, 15, []),
        "holder": ("exited", False, 0, None, []),
        "closer": ("exited", False, 7, None, []),
    }
    assert ran.out("daemon-1") == "parent\ndaemon\n"
    assert ran.out("holder-1") == "gone\n"
    assert ran.out("closer-1") == "last\n"
    assert ran.steps["closer-1"]["duration_s"] > 0.4
    assert all(step["duration_s"] < 3 for step in ran.steps.values())
    assert processes_with(home) == []


def test_a_step_runs_as_the_trial_says(command: Command, tmp_path: Path) -> None:
    """Its input, directory, environment, instant, signal, and which ends count as success."""
    roles = ("spawned", "stdin", "code", "killed", "wrong", "where", "late", "argv")
    ran = Ran(trial(WAYS, *roles), command, tmp_path)

    assert ran.done.returncode == 1, ran.done.stdout
    ends = ran.ends("reason", "failed", "exit_code", "signal")
    assert ends == {
        "asked": ("stopped", False, 5, None),
        "long": ("stopped", False, None, 15),
        "stdin": ("exited", False, 0, None),
        "code": ("exited", False, 42, None),
        "killed": ("exited", True, None, 11),
        "wrong": ("exited", True, 3, None),
        "where": ("exited", False, 0, None),
        "late": ("exited", False, 0, None),
        "argv": ("exited", False, 0, None),
        "spawned": ("exited", False, 0, None),
    }
    assert ran.out("asked", phase="startup") == "up\ninterrupted\n"
    assert ran.out("stdin-1") == "/dev/null\n0\n"
    assert ran.out("wrong-1", "stderr") == "to stderr\n"
    assert ran.out("where-1") == "/usr/lib\nn1!\n"
    assert ran.out("argv-1") == "a b|$HOME||"
    assert ran.out("spawned-1", phase="collect") == "alive\n"
    started, planned = ran.steps["late-1"]["started"], ran.steps["late-1"]["planned"]
    others = ran.steps["code-1"]["planned"]
    # Told at two moments, by what was known of the clock then: its bound is some ms on a busy machine.
    assert planned - others == pytest.approx(0.4, abs=0.01)
    assert 0 <= started - planned < 0.3
    whys = " ".join(ran.result["why"])
    assert "steps.toml:" in whys
    assert "exit 3" in whys
    assert "killed by SIGSEGV" in whys


def test_after_a_failure_only_what_is_meant_for_it_runs(command: Command, tmp_path: Path) -> None:
    """The rest of the phase and the phases behind it are left out, with a word; the reset is done."""
    ran = Ran(trial(FAILURE, "one", "two"), command, tmp_path)

    assert ran.done.returncode == 1, ran.done.stdout
    states = {name: step["state"] for name, step in ran.steps.items()}
    assert {name for name, state in states.items() if state == "skipped"} == {"left-out", "not-wanted"}
    assert ran.ends("reason", "failed") == {
        "breaks": ("exited", True),
        "explains": ("exited", False),
        "busy": ("stopped", False),
        "anyway": ("exited", False),
        "wanted": ("exited", False),
        "one": ("exited", False),
    }
    assert ran.out("one-1", phase="reset") == "clean\n"
    (why,) = ran.result["why"]
    assert "run/one step breaks on n1: exit 9" in why
    assert why.endswith("last line: because")


ASKED: Final = """
[[run.one]]
name  = "terminal"
cmd   = "test -t 1 && test -t 2 && stty size <&1 && cat"
pty   = true
stdin = "typed"

[[run.one]]
name   = "busy"
cmd    = "while :; do :; done"
limits = { cpu = "1s" }
on_fail = "continue"

[[run.one]]
name = "much"
cmd  = "seq 1 20000"
when = "always"
"""


def test_a_step_has_what_it_asks_for(command: Command, tmp_path: Path) -> None:
    """From the file to the process and back; the limit that ended it is named, what was not kept counted."""
    text = trial(ASKED, "one").replace("[nodes]", 'output_limit = "1 kB"\n[nodes]')
    ran = Ran(text, command, tmp_path)
    assert ran.out("terminal") == "24 80\ntyped"
    assert ran.steps["busy"]["message"] == "killed by SIGXCPU (limits.cpu)"
    assert len(ran.out("much")) == 1000
    assert ran.result["verdict"] == "fail"
    size = sum(len(str(number)) + 1 for number in range(1, 20001))
    missing = f"{size - 1000} bytes of stdout were not kept: over the output limit of 1000 bytes"
    assert missing in ran.result["why"][-1]


def test_a_user_that_is_not_there_is_refused_before_anything_starts(command: Command, tmp_path: Path) -> None:
    """One word in a trial must not leave a lab with half of it started."""
    body = """
[run]
one   = { cmd = "true", user = "no-such-user" }
other = { cmd = "touch started" }
"""
    ran = Ran(trial(body, "one", "other"), command, tmp_path)
    assert ran.done.returncode == 1
    assert "there is no user 'no-such-user' on this node" in ran.result["why"][0]
    assert not ran.ends()

"""Processes that may open no more files in the middle of a run: they say so, and go on later."""

import itertools
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

ERROR: Final = 3

TRIAL: Final = """
[trial]
name = "files"
[nodes]
only = "lab1"
[run]
only = [{{ name = "first", cmd = "echo first; while [ ! -e {go} ]; do sleep 0.02; done" }}, "echo second"]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, patience_s=(10.0, 10.0, 10.0))
    try:
        made.start_broker()
        made.start_agents("lab1")
        yield made
        for name in ("broker", "lab1"):
            assert "Traceback" not in made.log(name)
    finally:
        made.close()


@contextmanager
def no_more_files(pid: int) -> Iterator[None]:
    """Let a process open no files; it keeps those that it has."""
    had = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 - numbers, not paths
    lowest_free = next(number for number in itertools.count() if number not in had)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_who_can_open_no_more_files_refuses_and_goes_on(lab: Lab) -> None:
    """What runs goes on, also with another agent; what is to start is refused, as an error of the lab."""
    agent, go = lab.agents["lab1"], lab.directory / "go"
    run = lab.run(TRIAL.format(go=go))
    run.wait_said("first")
    launcher = agent.launcher
    with no_more_files(launcher):
        agent.kill()
        agent.start()
        agent.wait_joined()
        until(lambda: "run_taken_over" in lab.log("lab1"), lambda: lab.log("lab1"))
    go.touch()
    assert run.wait() == 0, run.said()
    for pid in (launcher, agent.pid):
        with no_more_files(pid):
            refused = lab.run(TRIAL.format(go=go))
            assert refused.wait() == ERROR, refused.said()
            assert "Too many open files" in refused.said()
        lab.wait_free("lab1")
    again = lab.run(TRIAL.format(go=go))
    assert again.wait() == 0, again.said()


CONTEXT: Final = """
from fabric.cli.options import reported_errors
from fabric.transport import make_context
with reported_errors():
    make_context()
"""


@pytest.mark.parametrize("words", [("-c", CONTEXT), ("-m", "broker"), ("-m", "agents")])
def test_too_few_descriptors_are_named_at_the_start(tmp_path: Path, words: tuple[str, ...]) -> None:
    """ZeroMQ ends a process without a word when it cannot open what it needs."""
    more = {"broker": ("--state-dir", str(tmp_path)), "agents": ("tcp://127.0.0.1:9",)}
    done = subprocess.run(
        ["prlimit", "--nofile=16:16", sys.executable, *words, *more.get(words[-1], ())],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert done.returncode == 3, done.stderr
    assert "may open 16 files only, and needs" in done.stderr

"""Limits of a step: what the kernel is told, and which one has ended a program."""

import os
import resource
from pathlib import Path
from signal import SIGKILL, SIGTERM, SIGXCPU, SIGXFSZ
from types import SimpleNamespace

import pytest

from agents.launcher.bounds import CPU_GRACE_S, bounds, exceeded
from agents.launcher.cgroup import Leaf
from agents.launcher.program import CannotStartError

FILES = (1024, 4096)


def test_a_limit_is_soft_and_hard() -> None:
    """Else the program would lift it; the processor's is a second apart, so that SIGXCPU can say why."""
    assert bounds({"files": 10, "core": 0}, FILES) == [
        (resource.RLIMIT_NOFILE, 10, 10),
        (resource.RLIMIT_CORE, 0, 0),
    ]
    assert bounds({"cpu": 5}, FILES) == [(resource.RLIMIT_CPU, 5, 5 + CPU_GRACE_S)]


def test_memory_is_the_last_to_be_limited() -> None:
    """The child that sets the others has to live on for so long."""
    assert bounds({"memory": 1 << 20, "files": 10}, FILES)[-1][0] == resource.RLIMIT_AS


def test_above_the_hard_limit_is_roots_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the agent that has started this launcher: what the launcher has for itself does not count."""
    monkeypatch.setattr("agents.launcher.bounds._may_raise", lambda: False)
    with pytest.raises(CannotStartError, match="4097 is over the hard limit of 4096"):
        bounds({"files": 4097}, FILES)
    monkeypatch.setattr("agents.launcher.bounds._may_raise", lambda: True)
    assert bounds({"files": 4097}, FILES) == [(resource.RLIMIT_NOFILE, 4097, 4097)]


@pytest.mark.parametrize(
    ("number", "used_s", "oom_kills", "limit"),
    [
        (SIGXCPU, 0.0, 0, "cpu"),
        (SIGXFSZ, 0.0, 0, "file_size"),
        (SIGKILL, 4.0, 0, ""),
        (SIGKILL, 6.0, 0, "cpu"),
        (SIGKILL, 0.0, 1, "memory"),
        (SIGTERM, 6.0, 1, ""),
        (None, 6.0, 1, ""),
    ],
)
def test_only_what_is_certain_is_named(number: int | None, used_s: float, oom_kills: int, limit: str) -> None:
    """A wrong name is worse than none."""
    usage = SimpleNamespace(ru_utime=used_s / 2, ru_stime=used_s / 2)
    limits = {"cpu": 5, "file_size": 1, "memory": 1}
    assert exceeded(limits, number, usage, oom_kills) == limit
    assert exceeded({}, SIGXCPU, usage, 0) == "", "the program's own doing"


def test_a_leaf_keeps_what_its_controllers_can(tmp_path: Path) -> None:
    """Processes of a user are counted together, those of a leaf alone; memory of all its processes."""
    (tmp_path / "leaf").mkdir()
    leaf = Leaf.__new__(Leaf)  # the files of a cgroup are made by the kernel
    leaf.path = str(tmp_path / "leaf")
    for name in ("cgroup.procs", "pids.max", "memory.max", "memory.swap.max"):
        (tmp_path / "leaf" / name).touch()
    assert leaf.limit("processes", 7)
    assert leaf.limit("memory", 4096)
    assert not leaf.limit("files", 10)
    assert [(tmp_path / "leaf" / name).read_text() for name in ("pids.max", "memory.max")] == ["7", "4096"]
    assert leaf.oom_kills == 0
    (tmp_path / "leaf" / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert leaf.oom_kills == 2


def test_a_leaf_without_controllers_keeps_nothing() -> None:
    """The launcher then says so, or rlimits have to do."""
    leaf = Leaf.__new__(Leaf)
    leaf.path = f"/nowhere/{os.getpid()}"
    assert not leaf.limit("processes", 7)


def test_a_cgroup_that_was_not_delegated_hands_nothing_down(tmp_path: Path) -> None:
    """An agent of root in the root cgroup would else change what all of the system has."""
    control = tmp_path / "cgroup.subtree_control"
    control.touch()
    leaf = tmp_path / "testfabric-x" / "1"
    leaf.mkdir(parents=True)
    (leaf / "cgroup.procs").touch()
    made = object.__new__(Leaf)
    made.path, made.is_limited = str(leaf), False
    assert not made.limit("memory", 1 << 20)
    assert control.read_text() == ""

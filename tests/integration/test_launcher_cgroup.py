"""Limits of steps in a cgroup that a service manager has delegated, with the kernel's own rules."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from agents.launcher import cgroup

CONTROLLER: Final = "hugetlb"
"""One that is seldom in use: with it the kernel's rule for all of them can be tried."""

LAUNCHER: Final = """
import os, sys
from agents.launcher import cgroup
home = sys.argv[1]
cgroup.CONTROLLERS = {"pages": ("hugetlb", sys.argv[2])}
open(f"{home}/cgroup.procs", "w").write("0")
groups = cgroup.Cgroups("test")
assert groups.path == f"{home}/testfabric-test", groups.path
leaf, plain = groups.leaf(), groups.leaf()
print(leaf.limit("pages", 1 << 30), cgroup.path_of(os.getpid()), cgroup.directory_of("test") == groups.path)
groups.remove(plain)
print(open(f"{home}/cgroup.subtree_control").read().split())
groups.remove(leaf)
print(open(f"{home}/cgroup.subtree_control").read().split())
groups.close()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A cgroup with the controller, as a service manager makes one for an agent."""
    above = Path(cgroup.own_directory() or "/nowhere")
    control = above / "cgroup.subtree_control"
    if not os.access(control, os.W_OK) or CONTROLLER not in (above / "cgroup.controllers").read_text():
        pytest.skip(f"no cgroup v2 with {CONTROLLER} that this user may use")
    was_there = CONTROLLER in control.read_text().split()
    made = above / f"testfabric-test-{os.getpid()}"
    made.mkdir()
    try:
        control.write_text(f"+{CONTROLLER}")
        yield made
    finally:
        for path in (*made.glob("*/"), made):
            path.rmdir()
        if not was_there:
            with suppress(OSError):  # another one has begun to use it
                control.write_text(f"-{CONTROLLER}")


def limits(home: Path) -> tuple[list[str], Path]:
    (file,) = [path.name for path in home.glob(f"{CONTROLLER}.2MB.max")]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(home), file],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), home


def test_who_is_beside_the_steps_goes_out_of_the_way_of_their_limits(home: Path) -> None:
    """The kernel hands no controller down beside a process: an agent's own unit would keep no limit."""
    os.setxattr(home, "user.delegate", b"1")
    first, with_limit, without = limits(home)[0]
    said, place, is_same = first.split()
    assert (said, is_same) == ("True", "True")
    assert place.endswith(f"/{home.name}/{cgroup.INNER}")
    assert CONTROLLER in with_limit
    assert CONTROLLER not in without, "a manager could start no agent here"


def test_processes_of_others_are_not_moved(home: Path) -> None:
    """Nobody has delegated a login's cgroup: the shell in it is not ours."""
    first, *_ = limits(home)[0]
    said, place, _ = first.split()
    assert said == "False"
    assert place.endswith(f"/{home.name}")

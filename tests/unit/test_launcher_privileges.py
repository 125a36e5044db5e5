"""Which programs would lose privileges under trace, seen from their files."""

import os
import shutil
from pathlib import Path

import pytest

from agents.launcher.privileges import Privileges


@pytest.fixture
def privileges() -> Privileges:
    """Those of a process that may not trace everybody, whoever runs the test."""
    made = Privileges()
    made._is_trusted = made._root_gains = False
    return made


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (0o755, ""),
        (0o4755, "'tool' is a set-user-id program, which it would lose under trace"),
        (0o2755, "'tool' is a set-group-id program, which it would lose under trace"),
        (0o2744, ""),  # without the group's x it means locking
    ],
)
def test_a_file_says_what_it_gives(privileges: Privileges, tmp_path: Path, mode: int, why: str) -> None:
    """The path is relative to the step's directory, as it is executed."""
    shutil.copy("/bin/true", tmp_path / "tool")
    (tmp_path / "tool").chmod(mode)
    assert privileges.lost("tool", str(tmp_path), 1000) == why


def test_a_script_is_as_its_interpreter_and_theirs(privileges: Privileges, tmp_path: Path) -> None:
    """The kernel follows the first lines, and so do we; what is missing or a pipe keeps nobody waiting."""
    tool, inner, outer, odd = (tmp_path / name for name in ("tool", "inner", "outer", "odd"))
    shutil.copy("/bin/true", tool)
    tool.chmod(0o4755)
    inner.write_text(f"#! {tool} -x\n")
    outer.write_text(f"#!{inner}\n")
    assert "set-user-id" in privileges.lost(str(outer), "/", 1000)
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "pipe", "odd"):  # the last is its own interpreter
        odd.write_text(f"#!{tmp_path / name}\n")
        assert privileges.lost(str(odd), "/", 1000) == ""


def test_a_root_that_has_given_up_capabilities_gets_them_back(privileges: Privileges) -> None:
    """By any exec, but not by one under trace."""
    privileges._root_gains = True
    assert "root gets capabilities back" in privileges.lost("/bin/true", "/", 0)
    assert privileges.lost("/bin/true", "/", 1000) == ""


def test_who_may_trace_everybody_takes_nothing_from_a_program(tmp_path: Path) -> None:
    """The kernel asks for CAP_SYS_PTRACE."""
    shutil.copy("/bin/true", tmp_path / "tool")
    (tmp_path / "tool").chmod(0o4755)
    made = Privileges()
    made._is_trusted = True
    assert made.lost("tool", str(tmp_path), 1000) == ""

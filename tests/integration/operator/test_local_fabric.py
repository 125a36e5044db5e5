"""A private fabric: what does not come up is told, what does not end is ended."""

import os
import signal
import sys
from pathlib import Path

import pytest

from agents.launcher import tree
from fabric.controller import local
from fabric.controller.connection import Connection
from fabric.controller.local import LocalFabric
from fabric.controller.lookup import list_nodes
from fabric.errors import FabricError
from tests.integration.faults.processes import until

BROKEN = """\
#!/bin/sh
test "$2" = broker || exit 0
echo 'error: self-test: nobody is let in' >&2
echo 'hint: is there a firewall?' >&2
exit 3
"""


def test_the_error_of_the_broker_is_told_with_its_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line is the hint, which says nothing without the error above it."""
    program = tmp_path / "python"
    program.write_text(BROKEN)
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with LocalFabric() as fabric, pytest.raises(FabricError) as caught:
        fabric.start({"lab1": ()})
    assert str(caught.value) == "the local broker did not come up: self-test: nobody is let in"
    assert caught.value.hint == "is there a firewall?"


def test_an_agent_that_ends_is_named() -> None:
    """A run that waits for a node of its own must not wait for one that cannot come."""
    with LocalFabric() as fabric:
        fabric.start({"lab1": (), "lab2": ("no label",)})
        until(fabric.dead, "the end of an agent")
        assert fabric.dead().startswith("the local lab2 ended with 2: ")
        assert "no label" in fabric.dead()


def test_an_agent_that_hangs_is_killed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nursery does it: nobody else knows them all."""
    monkeypatch.setattr(local, "END_S", 0.5)
    with LocalFabric() as fabric:
        access = fabric.start({"lab1": (), "lab2": ()})
        names = ("lab1", "lab2")
        connection = Connection(access, program="test")
        connection.wait_up()
        until(lambda: {node.name for node in list_nodes(connection)} == set(names), "both nodes")
        connection.close()
        (nursery,) = [pid for pid in tree.children(os.getpid()) if len(tree.children(pid)) == len(names)]
        hanging, other = tree.children(nursery)
        os.kill(hanging, signal.SIGSTOP)
    assert tree.is_dead(hanging)
    assert tree.is_dead(other)
    assert tree.is_dead(nursery)

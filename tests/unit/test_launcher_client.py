"""What an agent hears from a launcher that was there before it: over a socket, but with no launcher."""

import os
import socket
from pathlib import Path
from typing import Any

from agents.launcher import wire
from agents.launcher.channel import Channel
from agents.launcher.client import LauncherClient
from agents.launcher.events import Adopted

STEP = {
    "ev": "step",
    "key": "run|step|1",
    "pid": 42,
    "state": "armed",
    "tail": False,
    "reports": [],
    "planned": 1000,
    "ending": True,
}


def told(directory: Path, *words: dict[str, Any]) -> Adopted | None:
    """Return what a client makes of a launcher's first words; each step brings two descriptors."""
    ours, theirs = socket.socketpair()
    client, launcher = LauncherClient(directory, ours, None), Channel(theirs)
    null = os.open("/dev/null", os.O_RDONLY)
    for word in words:
        launcher.send(word, (null, null) if word["ev"] == "step" else ())
    os.close(null)
    found = client.adopted()
    client.close()
    launcher.close()
    return found


def test_a_launcher_tells_all_that_it_has(tmp_path: Path) -> None:
    """The agent goes on with it, so it has to know for when releases are planned."""
    hello = {"ev": "hello", "steps": 1, "wire": wire.VERSION, "software": "0.2", "ending": False}
    found = told(tmp_path, hello, STEP)
    assert found is not None
    (step,) = found.steps
    os.close(step.stdout_fd)
    os.close(step.stderr_fd)
    assert (step.planned_ns, step.is_ending) == (1000, True)
    assert (found.wire, found.software, found.has_ended_all) == (wire.VERSION, "0.2", False)


def test_a_launcher_of_another_wire_is_not_understood_and_leaves_nothing_open(tmp_path: Path) -> None:
    """It is ended, with all that it runs: what its words mean is not known."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for version in ({}, {"wire": wire.VERSION + 1}):
        found = told(tmp_path, {"ev": "hello", "steps": 1, **version}, {"ev": "step", "strange": True})
        assert found is not None
        assert found.steps == ()
        assert found.wire == version.get("wire", 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

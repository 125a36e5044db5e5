"""An agent of root whose policy names the users that steps may be, with users that every system has."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.faults.lab import Agent, Lab

TRIAL: Final = """
[trial]
name = "users"
lead = "150ms"
[nodes]
node = "n1"
{steps}
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab in a directory that other users can reach, with an agent that allows two of them."""
    if os.geteuid() != 0:
        pytest.skip("being another user needs root")
    with tempfile.TemporaryDirectory(prefix="fabric-users-") as name:
        Path(name).chmod(0o711)
        made = Lab(Path(name))
        try:
            made.start_broker()
            agent = made.agents["n1"] = Agent(made, "n1")
            agent.options = ("--allow-user", "nobody", "--allow-user", "daemon")
            made.start_agents("n1")
            yield made
        finally:
            made.close()


def step(phase: str, user: str, command: str) -> str:
    return f'[[{phase}.node]]\ncmd = "{command}"\n' + (f'user = "{user}"\n' if user else "")


def test_steps_are_the_users_that_the_node_allows_and_no_others(lab: Lab) -> None:
    """Really: by what the kernel says of them; and nothing of a trial starts that wants to be root."""
    mine = "id -un; echo mine > of-`id -un`; stat -c %U of-`id -un`; test -w /etc/passwd || echo closed"
    steps = step("run", "nobody", mine) + step("run", "daemon", mine) + step("reset", "nobody", "id -un")
    allowed = lab.run(TRIAL.format(steps=steps))
    assert allowed.wait() == 0, allowed.said()
    said = [line.split("│ ")[1] for line in allowed.said().splitlines() if "│ " in line]
    assert said == ["nobody", "nobody", "closed", "daemon", "daemon", "closed", "nobody"]

    never = f"touch {lab.directory}/started"
    steps = step("run", "nobody", never) + step("run", "root", never) + step("run", "bin", never)
    refused = lab.run(TRIAL.format(steps=steps + step("run", "", never)))
    assert refused.wait() == 1, refused.said()
    told = refused.said()
    for user in ("root", "bin"):
        assert f"it would run as user {user}, and this node allows nobody, daemon (allow_user)" in told, told
    assert "give it a `user`" in told
    assert not (lab.directory / "started").exists()

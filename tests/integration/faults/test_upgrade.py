"""Broker and agent are replaced by another version in the middle of a run, as an upgrade of a lab does it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import fabric
from agents.launcher import tree
from fabric.protocol.limits import PROTOCOL_VERSION
from tests.integration.faults.lab import Agent, Lab
from tests.integration.faults.processes import until

ROOT: Final = Path(fabric.__file__).parents[1]

TRIAL: Final = """
[trial]
name = "upgraded"
lead = "150ms"
[nodes]
node = "victim"
[[run.node]]
name = "numbers"
cmd  = ["{python}", "-uc", '''
import os, time
number = 0
while number < 3000 or not os.path.exists("{files}/go"):
    print(number)
    number += 1
    time.sleep(0.001)
''']
[[run.node]]
name = "after"
cmd  = "echo ran >> {files}/after"
[[reset.node]]
cmd = "echo done >> {files}/reset"
"""


class Installed:
    """What is installed where broker and agents are started from: a link, which an upgrade turns."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._link = lab.directory / "installed"
        self._link.symlink_to(ROOT)
        lab.environment |= {"PYTHONPATH": str(self._link), "PYTHONSAFEPATH": "1"}

    def upgrade(self, *changes: tuple[str, str, str]) -> None:
        """Install a newer version: of the present one, with its number raised and more words changed."""
        place = self._lab.directory / "newer"
        for package in ("fabric", "broker", "agents"):
            shutil.copytree(ROOT / package, place / package)
        number = f'__version__ = "{fabric.__version__}"'
        for name, old, new in (("fabric/__init__.py", number, '__version__ = "99.1"'), *changes):
            text = (place / name).read_text()
            assert text.count(old) == 1, (name, old)
            (place / name).write_text(text.replace(old, new))
        turned = self._link.with_suffix(".new")
        turned.symlink_to(place)
        turned.replace(self._link)

    def versions(self, name: str) -> tuple[str, str]:
        """Return the version of a node's agent, and the one that the files of its launcher are of."""
        words = Path(f"/proc/{self._lab.agents[name].launcher}/cmdline").read_bytes().split(b"\0")
        return self._lab.nodes()[name]["facts"]["testfabric"], words[-2].decode()


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    """A lab with one agent."""
    lab = Lab(tmp_path)
    try:
        made = Installed(lab)
        lab.start_broker()
        victim = lab.agents["victim"] = Agent(lab, "victim")
        victim.options = ("--launcher-patience", 20, 20, 10)  # on a machine that is busy
        lab.start_agents("victim")
        yield made
    finally:
        lab.close()


def test_a_run_goes_on_through_an_upgrade_of_broker_and_agent(installed: Installed, tmp_path: Path) -> None:
    """First one, then the other; the launcher stays what it was until the node has no run."""
    lab = installed._lab
    run = lab.run(TRIAL.format(python=sys.executable, files=tmp_path))
    run.wait_said("│ 200\n")
    installed.upgrade()
    lab.kill_broker()
    lab.start_broker()
    lab.agents["victim"].wait_joined()
    run.wait_said("│ 1000\n")
    lab.agents["victim"].begin_again()
    assert installed.versions("victim") == ("99.1", fabric.__version__)
    (tmp_path / "go").touch()
    assert run.wait() == 0, run.said()
    run.check_bundle()
    lines = run.out(1, "run", "victim", "numbers.stdout").decode().splitlines()
    assert lines == [str(number) for number in range(len(lines))]
    assert len(lines) >= 3000
    assert (tmp_path / "after").read_text() == "ran\n"
    assert (tmp_path / "reset").read_text() == "done\n"
    victim = lab.agents["victim"]
    # In between it has none.
    until(
        lambda: bool(tree.children(victim.pid)) and installed.versions("victim") == ("99.1", "99.1"),
        "a launcher of the newer version",
    )


def test_a_version_that_does_not_understand_the_other_says_so(installed: Installed, tmp_path: Path) -> None:
    """Neither memo nor messages: the run is an error, with its reasons, and the node is reset."""
    lab = installed._lab
    run = lab.run(TRIAL.format(python=sys.executable, files=tmp_path))
    run.wait_said("│ 200\n")
    installed.upgrade(
        ("fabric/protocol/limits.py", f"Final = {PROTOCOL_VERSION}\n", "Final = 98\n"),
        ("agents/memo.py", "FORMAT: Final = ", "FORMAT: Final = 9"),
    )
    lab.kill_broker()
    lab.start_broker()
    lab.agents["victim"].begin_again()
    assert run.wait() == 3, run.said()
    assert f"the command speaks protocol {PROTOCOL_VERSION} (testfabric {fabric.__version__})" in run.said()
    assert "the broker protocol 98 (testfabric 99.1)" in run.said()
    victim = lab.agents["victim"]
    until(lambda: not [*victim.state.glob("journals/*/*")], "the end of its journals")
    assert (tmp_path / "reset").read_text() == "done\n"
    assert not (tmp_path / "after").exists()
    said = lab.log("victim")
    assert f"of testfabric {fabric.__version__} is not known" in said
    told = lab.command("tail", run.run, "--node", "victim").stdout
    assert "numbers" in told
    assert "the agent was restarted while it ran" in told

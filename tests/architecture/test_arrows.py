"""Which package may know which: broker -> fabric <- agents, and what a node has to install."""

import subprocess
import sys

import pytest

from tests.architecture.source import PACKAGES, ROOT, closure, foreign, imports, modules

MAY_IMPORT = {"fabric": {"fabric"}, "broker": {"broker", "fabric"}, "agents": {"agents", "fabric"}}
ON_A_NODE = {"zmq", "msgpack", "click", "structlog"}
BLOCK_OTHERS = """
import sys
allowed = {allowed!r} | sys.stdlib_module_names
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"{{name}} is not there on a node", name=name)
sys.meta_path.insert(0, Blocker())
import importlib
for name in {names!r}:
    importlib.import_module(name)
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_meet_on_the_wire(package: str) -> None:
    """Broker and agents know each other's messages only, so each can be installed and changed alone."""
    for name in modules():
        tops = {found.partition(".")[0] for found in imports(name)} & set(PACKAGES)
        if name.partition(".")[0] == package:
            assert tops <= MAY_IMPORT[package], name


def test_a_node_needs_four_packages_only() -> None:
    """Agents run on machines that are not ours: every package there is one to argue about."""
    on_a_node = closure([name for name in modules() if name.startswith("agents")])
    assert foreign(on_a_node) <= ON_A_NODE
    assert not {
        name for name in on_a_node if name.startswith(("fabric.store", "fabric.controller", "broker"))
    }


def test_an_agent_starts_where_the_other_dependencies_are_missing() -> None:
    """The same by running it: imports that the source does not show count, too."""
    names = [name for name in modules() if name.startswith("agents") and not name.endswith("__main__")]
    code = BLOCK_OTHERS.format(allowed=ON_A_NODE | set(PACKAGES), names=names)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_launcher_needs_the_standard_library_only() -> None:
    """It outlives its agent, also while that is being replaced by another version."""
    launcher = closure(["agents.launcher.main"])
    assert foreign(launcher) == set()
    assert {name for name in launcher if not name.startswith("agents.launcher")} == {"agents"}

"""No timer, order, lease, duration or verdict goes by the wall clock, which people and daemons set."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import modules, tree

READERS = {
    "fabric.clock": "the broker's, once at its start: it counts on by its monotonic clock; and "
    "whether it was set since then, before runs are deleted for their age",
    "fabric.controller.trialrun": "the date in the id of a run",
    "fabric.controller.execute": "the date in the id of a run",
    "fabric.store.backup": "the end of runs that were open in a backup, for people",
    "fabric.doctor.lab": "how far off the clock of this machine is, for people",
    "agents.recovery": "the instant of what an earlier life left, without a bound: nothing better is known",
    "agents.timekeeping": "the same before the first welcome, and how wrong the node's clock is, for people",
}
"""Who may read it, and what for."""

WALL = {"time.time", "time.time_ns", "time.localtime", "time.ctime", "time.CLOCK_REALTIME"} | {
    f"{name}.{way}"
    for name in ("datetime", "date", "datetime.datetime")
    for way in ("now", "utcnow", "today")
}


def names(module: str) -> Iterator[str]:
    """Yield the dotted names that a module uses."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module in {"time", "datetime"}:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ["fabric", "broker", "agents"])
def test_the_wall_clock_is_read_where_it_is_said_and_nowhere_else(package: str) -> None:
    """A lab's clocks are set by hours when their daemons start; nothing may end, wait or fail by that."""
    mine = [module for module in modules() if module.split(".")[0] == package]
    found = {module for module in mine if WALL & set(names(module))}
    assert found == {module for module in READERS if module.split(".")[0] == package}

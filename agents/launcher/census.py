"""Which step a process belongs to that has lost its parent and so has become the launcher's child."""

from __future__ import annotations

import os

from agents.launcher import cgroup, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.launcher.step import Step


class Census:
    """Attributes orphans to steps.

    By what was seen of the tree before, by cgroup, session, mark in the environment, or a pipe of the step
    that it holds.  A program that sheds all of these is attributed to nobody while several steps live, and
    to the last step that lives.
    """

    def __init__(self, launcher_mark: str) -> None:
        self._mark = launcher_mark
        self._known: dict[int, str] = {}
        self.leaders: dict[int, Step] = {}  # by pid; not reaped yet
        self.steps: dict[str, Step] = {}  # by key

    def claim(self, pids: Iterable[int], key: str) -> None:
        """Remember that these were found in a step's tree."""
        for pid in pids:
            self._known[pid] = key

    def forget(self, pid: int) -> None:
        """A child was reaped: its number may come back as another process."""
        self._known.pop(pid, None)

    def forget_step(self, key: str) -> None:
        """Nothing of a step is left."""
        if key in self._known.values():
            self._known = {pid: other for pid, other in self._known.items() if other != key}

    def orphans(self) -> dict[str, list[int]]:
        """Return the orphans by the key of their step; under the empty key those of nobody."""
        found: dict[str, list[int]] = {}
        live = [step.key for step in self.steps.values() if step.is_live]
        only = live[0] if len(live) == 1 else ""
        for pid in tree.children(os.getpid()):
            if pid not in self.leaders:
                found.setdefault(self._known.get(pid) or only or self._recognise(pid), []).append(pid)
        return found

    def _recognise(self, pid: int) -> str:
        key = self._attribute(pid)
        if key:
            self._known[pid] = key
        return key

    def _attribute(self, pid: int) -> str:
        live = [step for step in self.steps.values() if step.is_live]
        session, place = tree.session(pid), cgroup.path_of(pid)
        for step in live:
            if step.pid == session or (step.leaf is not None and step.leaf.holds(place)):
                return step.key
        if tree.mark(pid, tree.LAUNCHER_MARK) == self._mark:
            key = tree.mark(pid, tree.STEP_MARK)
            if key in self.steps:
                return key
        held = tree.outputs(pid)
        return next((step.key for step in live if held & step.process.outputs), "")

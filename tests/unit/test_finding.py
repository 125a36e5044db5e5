"""Looking for nodes that others want too."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import fabric.cli.attach
import fabric.cli.exec
import fabric.controller.execute
from fabric.controller.execute import Executed
from fabric.controller.finding import RACES, Wait, races

S = 1_000_000_000


class Clock:
    """As much of a connection as is asked for the time."""

    now = 5 * S
    loop = SimpleNamespace(wake=lambda: None)

    def now_ns(self) -> int:
        return self.now


def test_who_does_not_wait_looks_a_few_times() -> None:
    """Another one was faster: other nodes may do, but where all are in use that is said."""
    clock: Any = Clock()
    assert [left.limit_s for left in races(clock, Wait())] == [0.0] * RACES


def test_who_waits_looks_until_the_wait_is_over() -> None:
    """Six that wait for one node see it free at the same moment; each look has what is left."""
    clock: Any = Clock()
    lefts = []
    for left in races(clock, Wait(8.0)):
        lefts.append(left.limit_s)
        clock.now += S
    assert lefts == [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]


def test_exec_looks_again_if_somebody_else_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--wait` is no promise to look once."""
    waits: list[float] = []

    @contextmanager
    def attached(*_: object, **__: object) -> Iterator[Any]:
        yield Clock()

    def nodes_for(_: object, spec: str, wait: Wait) -> tuple[str, ...]:
        waits.append(wait.limit_s)
        return (spec,)

    def execute(*_: object) -> Executed:
        late = len(waits) <= RACES
        return Executed(
            run="r",
            verdict="error" if late else "pass",
            whys=("lab1 is in use",) if late else (),
            started=not late,
            was_late=late,
            ends={},
            passes_over=False,
        )

    monkeypatch.setattr(fabric.cli.attach, "attached", attached)
    monkeypatch.setattr(fabric.controller.execute, "nodes_for", nodes_for)
    monkeypatch.setattr(fabric.cli.exec, "_execute", execute)
    done = CliRunner().invoke(fabric.cli.exec.main, ["lab1", "--wait=20s", "--", "true"])
    assert (done.exit_code, waits) == (0, [20.0] * (RACES + 1)), done.output

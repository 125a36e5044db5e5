"""Records of steps that their node does not have: nobody takes them, and their node is named."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fabric.controller.belonging import KEPT, MAX_ATTEMPTS, Belonging
from fabric.controller.command import STEP, Command, command_run
from fabric.controller.document import plan_document, plan_text
from fabric.controller.entry import Read
from fabric.controller.retelling import Retelling, stored_plan
from fabric.protocol.messages import Freed, RunClosed
from fabric.protocol.records import Output, PhaseFinished, StepSkipped
from fabric.trial.load import parse_trial
from tests.plans import plain_plan
from tests.unit.run_lab import RUN, T0_NS, TRIAL, finished, running, started
from tests.unit.test_retelling import SWEEP

OTHER = """
[trial]
name = "t"
[nodes]
a = "n1"
b = "n2"
[run]
a = "work"
b = "work"
"""


def belonging(trial: str = TRIAL, repeats: int = 1) -> Belonging:
    return Belonging(plain_plan(parse_trial(trial, "t.toml"), {}, ("run", "collect"), repeats))


def has(known: Belonging, record: Any, node: str = "n1", **options: Any) -> bool:
    return known.has(Read(1, node, record, b""), **options)


@pytest.mark.parametrize("step", ["1/run/a/a-1", "1/collect/a/a-1", "1/reset/a/a-1", "0/reset/a/a-1"])
def test_what_is_planned_may_be_reported(step: str) -> None:
    """The reset that a node does by itself, too."""
    assert has(belonging(), finished(step))


@pytest.mark.parametrize(
    "step",
    [
        *("2/run/a/a-1", "1/startup/a/a-1", "1/run/b/a-1", "1/run/a/a-2", "1.1/run/a/a-1", "0/run/a/a-1"),
        *("999999999.999999999/reset/x/y", "nonsense", ""),
    ],
)
def test_what_is_not_planned_may_not(step: str) -> None:
    """A node could make any number of files in the bundle, each under a name of its own."""
    assert not has(belonging(), finished(step))


def test_a_step_of_another_node_may_not_be_reported() -> None:
    """Only a run that is gone on with may have had other nodes."""
    known = belonging(OTHER)
    assert has(known, finished("1/run/b/b-1"), "n2")
    assert not has(known, finished("1/run/b/b-1"), "n1")
    assert has(known, finished("1/run/b/b-1"), "n1", is_own=False)
    assert not has(known, finished("1/run/b/b-2"), "n1", is_own=False)


def test_attempts_have_a_limit() -> None:
    """Each has outputs of its own."""
    known, output = (
        belonging(),
        Output(t_ns=1, bound_ns=0, step="1/run/a/a-1", attempt=1, stream="stdout", offset=0, size=0),
    )
    assert has(known, replace(output, attempt=MAX_ATTEMPTS))
    assert not has(known, replace(output, attempt=MAX_ATTEMPTS + 1))
    assert has(known, StepSkipped(t_ns=1, bound_ns=0, step="1/run/a/a-1", message=""))


@pytest.mark.parametrize(
    ("phase", "wanted"), [("1/run", True), ("0/reset", True), ("1/x", False), ("x", False)]
)
def test_a_phase_is_one_of_the_plan(phase: str, wanted: bool) -> None:
    """Each that is named is kept."""
    assert has(belonging(), PhaseFinished(t_ns=1, bound_ns=0, phase=phase, failed=False)) is wanted


def test_cells_are_told_apart() -> None:
    """Repeats are those of a cell, with the warm-ups."""
    known = belonging(SWEEP, repeats=2)
    assert has(known, finished("2.3/run/a/a-1"))
    assert has(known, finished("2.0/reset/a/a-1"))
    assert not has(known, finished("2.4/run/a/a-1"))
    assert not has(known, finished("3.1/run/a/a-1"))
    assert not has(known, finished("1/run/a/a-1"))


def test_a_command_has_one_step() -> None:
    """It has no reset, and no trial file."""
    known = Belonging(command_run(run=RUN, nodes=["n1"], command=Command(argv=("true",)), lease_s=20.0).plan)
    assert has(known, finished(STEP))
    assert not has(known, finished("1/run/node/other"))


def test_what_is_remembered_is_bounded() -> None:
    """A run has any number of steps, over its repeats."""
    known = belonging(repeats=KEPT + 5)
    for repeat in range(1, KEPT + 5):
        assert has(known, finished(f"{repeat}/run/a/a-1"))
    assert len(known._known) <= KEPT


def test_a_node_that_makes_steps_up_is_named_once_and_changes_nothing() -> None:
    """The run goes on with what is true; that the node cannot be trusted is an error."""
    lab = running()
    before = dict(lab.run.desk.history.started)
    for number in range(2, 10):
        lab.read("n2", started(f"1/run/a/a-{number}", T0_NS))
        lab.read("n2", finished(f"1/run/a/a-{number}", failed=True))
    assert lab.run.desk.history.started == before
    assert not lab.run.desk.history.finished
    while lab.run.state == "phases":
        lab.finish()
        if lab.run.state == "phases":
            lab.start()
    lab.hear(Freed(run=RUN, node="n1", incarnation=1, records=0, reset_failed=False))
    counted = sum(read.node == "n2" for read in lab.reads)
    lab.hear(Freed(run=RUN, node="n2", incarnation=1, records=counted, reset_failed=False))
    lab.hear(RunClosed(request=2, run=RUN))
    assert lab.over, "the records were read, so the node is done with"
    why = "n2 reports what does not fit: step_started of '1/run/a/a-2', which it does not have"
    assert (lab.verdict, lab.whys) == ("error", why)


@pytest.mark.parametrize("limit_bytes", [300, 1 << 20])
def test_a_run_is_told_without_them(limit_bytes: int) -> None:
    """`fabric runs bundle` writes what `fabric-run` did; of a plan that was shortened nothing is refused."""
    lab = running()
    text = plan_text(plan_document(lab.run.plan), limit_bytes)
    told = Retelling(RUN, stored_plan(TRIAL, json.loads(text)), lab.run.nodes)
    assert told.read(Read(1, "n2", finished("1/run/a/a-1"), b""))
    assert told.read(Read(2, "n2", finished("1/run/a/a-2"), b"")) is (limit_bytes == 300)
    assert ("does not have" in str(told.findings.whys)) is (limit_bytes > 300)

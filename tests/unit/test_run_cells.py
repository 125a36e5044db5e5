"""The Run over cells and repeats, with a quorum, and with metrics."""

import json
from dataclasses import replace

import pytest

from fabric.controller.measures import Measured
from fabric.controller.outcome import result_of, result_text
from fabric.controller.plan import RunPlan
from fabric.protocol.messages import Assign, NodeBack, Prepare, Refused, StartPhase
from fabric.protocol.records import Metric, MetricMissing, Notice, RepeatEnded, RepeatStarted
from fabric.trial.cells import Cell, Repeat
from fabric.trial.load import parse_trial
from fabric.trial.model import CheckSpec, MetricSpec, Trial
from tests.plans import plain_plan
from tests.unit.run_lab import RUN, TRIAL, Lab, finished, running, through

SPEC = MetricSpec(name="rtt", line=8, regex="(.*)", unit="ms")
ONE, TWO = Cell(1, {"rate": "50"}), Cell(2, {"rate": "100"})
ORDER = ("run", "collect", "reset")


def parsed() -> Trial:
    return parse_trial(TRIAL, "t.toml")


def planned(*repeats: Repeat, trial: Trial | None = None, two: tuple[str, ...] = ("n1", "n2")) -> RunPlan:
    roles = {0: {"a": ("n1", "n2")}, 1: {"a": ("n1", "n2")}, 2: {"a": two}}
    used = {repeat.cell.number: roles[repeat.cell.number] for repeat in repeats}
    return RunPlan(trial or parsed(), {}, ORDER, repeats, used)


def phases(lab: Lab) -> list[str]:
    return [message.phase for message in lab.told if isinstance(message, StartPhase)]


def go_through(lab: Lab) -> None:
    """Take a lab through everything that is to come."""
    while lab.run.state == "phases":
        lab.assign()
        lab.go_through()
    lab.end()


def test_repeats_are_framed_by_records_that_name_their_cell() -> None:
    """Who watches a sweep wants to know where it is, and what is varied."""
    plan = planned(Repeat(ONE, 1, True, ORDER), Repeat(TWO, 1, False, ORDER))
    lab = running(plan=plan)
    go_through(lab)
    started = [note for note in lab.notes if isinstance(note, RepeatStarted)]
    assert [(note.cell, note.repeat, note.warmup, note.variables) for note in started] == [
        (1, 1, True, {"rate": "50"}),
        (2, 1, False, {"rate": "100"}),
    ]
    assert sum(isinstance(note, RepeatEnded) for note in lab.notes) == 2
    assert phases(lab) == [
        *("1.1/run", "1.1/collect", "1.1/reset"),
        *("2.1/run", "2.1/collect", "2.1/reset"),
    ]
    assert (lab.verdict, lab.over) == ("pass", True)


def test_a_node_gets_the_reset_of_the_cell_that_begins() -> None:
    """What it would do alone, were its lease to end, depends on the cell."""
    plan = planned(Repeat(ONE, 1, False, ORDER), Repeat(ONE, 2, False, ORDER), Repeat(TWO, 1, False, ORDER))
    lab = running(plan=plan)
    assert lab.count(Assign) == 2
    go_through(lab)
    assert lab.count(Assign) == 4, "once for each cell, not for each repeat"


def test_only_the_nodes_of_the_cell_take_part() -> None:
    """In a matrix of pairs the others are reserved, and idle."""
    lab = running(plan=planned(Repeat(TWO, 1, False, ORDER), two=("n2",)))
    assert lab.last(StartPhase).nodes == ("n2",)


def test_a_failed_cell_does_not_keep_the_next_one_from_being_measured() -> None:
    """A sweep overnight with one bad combination is still a sweep."""
    lab = running(plan=planned(Repeat(ONE, 1, False, ORDER), Repeat(TWO, 1, False, ORDER)))
    lab.finish("n1", failed=True, exit_code=1, message="exit 1")
    lab.finish("n2")
    go_through(lab)
    assert "2.1/run" in phases(lab)
    assert lab.verdict == "fail"
    failed = {cell["cell"]: cell["repeats"][0]["failed"] for cell in result_of(lab.run)["cells"]}
    assert failed == {1: True, 2: False}


def test_what_was_spawned_before_the_cycle_lives_until_the_phase_that_ends_it() -> None:
    """A server that is started once serves all repeats."""
    trial = parse_trial(
        """
[trial]
name = "t"
[nodes]
a = ["n1", "n2"]
[startup]
a = { spawn = "serve", name = "a-1" }
[run]
a = "work"
[reset]
a = "clean"
""",
        "t.toml",
    )
    trial = replace(trial, cycle=("run",))
    order = ("startup", "run", "collect", "reset")
    cell = Cell(0, {})
    repeats = (
        Repeat(cell, 1, False, ("startup", "run")),
        Repeat(cell, 2, False, ("run", "collect", "reset")),
    )
    lab = Lab(plan=RunPlan(trial, {}, order, repeats, {0: trial.roles}))
    lab.open()
    ends = {}
    while lab.run.state == "phases":
        ends[lab.phase] = lab.last(Prepare).end
        lab.go_through()
    assert ends["1/run"] == ends["2/run"] == ()
    assert ends["2/collect"] == ("1/startup/a/a-1",)
    assert ends["2/reset"] == ()


def test_a_startup_that_failed_spoils_the_repeats_that_build_on_it() -> None:
    """They would measure a service that is not there."""
    cell = Cell(0, {})
    repeats = (
        Repeat(cell, 1, False, ("run",)),
        Repeat(cell, 2, False, ("collect", "reset")),
    )
    lab = Lab(plan=RunPlan(replace(parsed(), cycle=("collect",)), {}, ORDER, repeats, {0: parsed().roles}))
    lab.open()
    lab.start()
    lab.finish("n1", failed=True, exit_code=1, message="exit 1")
    lab.finish("n2")
    assert lab.phase == "1/collect"


# --- quorum -----------------------------------------------------------------------------------------------


def half() -> RunPlan:
    return plain_plan(replace(parsed(), quorum=0.5), {}, ("run", "collect"), 1)


def test_a_node_that_is_lost_is_done_without_while_the_quorum_holds() -> None:
    """One of a hundred load generators is no reason to throw the night away, but it is told."""
    lab = running(plan=half())
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    assert lab.verdict == "pass"
    assert any("quorum holds without it" in note.message for note in lab.notes if isinstance(note, Notice))
    lab.finish("n2")
    assert lab.last(Prepare).node == "n2"
    assert not lab.last(Prepare).stopped
    assert result_of(lab.run)["nodes"]["n1"]["lost"] is not None


def test_what_a_node_tells_that_was_done_without_is_no_error_any_more() -> None:
    """Its next agent reports the step as lost: that was known when the run went on without it."""
    lab = running(plan=half())
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    lab.read("n1", finished("1/run/a/a-1", reason="lost", failed=True, message="the agent was restarted"))
    lab.finish("n2")
    assert (lab.verdict, lab.last(Prepare).stopped) == ("pass", False)
    told = result_of(lab.run)
    assert told["nodes"]["n1"]["passed_over"]
    assert not told["nodes"]["n2"]["passed_over"]


def test_a_step_whose_end_is_lost_says_so() -> None:
    """A script looks at the reason of each step; "" or nothing would be one more case."""
    lab = running(plan=half())
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    ends = {step["node"]: (step["reason"], step["message"]) for step in result_of(lab.run)["steps"]}
    assert ends == {
        "n1": ("lost", "its end is not known: n1 has restarted and lost its part of the run"),
        "n2": ("unknown", "its end is not known"),
    }


def test_below_the_quorum_a_lost_node_is_an_error() -> None:
    """Half of two is one: the second one is needed."""
    lab = running(plan=half())
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    lab.hear(NodeBack(run=RUN, node="n2", incarnation=2, works_on=False))
    assert lab.verdict == "error"


def test_a_node_that_refuses_is_left_out_but_resets() -> None:
    """It may have set something up in an earlier phase."""
    lab = Lab(plan=half())
    lab.open()
    lab.ready("n1")
    lab.hear(Refused(run=RUN, node="n2", phase="1/run", step="1/run/a/a-1", sentence="no program `work`"))
    assert lab.last(StartPhase).nodes == ("n1",)
    lab.commit()
    lab.finish("n1")
    assert lab.last(Prepare).node == "n1"
    lab.ready("n1")
    lab.commit()
    lab.finish("n1")
    asked = {
        message.node for message in lab.told if isinstance(message, Prepare) and "reset" in message.phase
    }
    assert asked == {"n1", "n2"}
    assert lab.verdict == "pass"


# --- metrics ----------------------------------------------------------------------------------------------


def measuring(*checks: CheckSpec) -> RunPlan:
    trial = parsed()
    steps = tuple(replace(step, metrics=(SPEC,)) if step.phase == "run" else step for step in trial.steps)
    return plain_plan(replace(trial, steps=steps, checks=checks), {}, ("run", "collect"), 1)


def measured(node: str, value: float | None, why: str = "") -> Measured:
    return Measured(node, "1/run/a/a-1", 1, SPEC, value, why)


def test_metrics_are_records_and_stand_in_the_result() -> None:
    """For people who watch, and for scripts."""
    lab = running(plan=measuring())
    lab.finish()
    lab.do(lab.run.measured(measured("n1", 1.0), lab.now_ns))
    lab.do(lab.run.measured(measured("n2", 3.0), lab.now_ns))
    assert [(note.node, note.value) for note in lab.notes if isinstance(note, Metric)] == [
        ("n1", 1.0),
        ("n2", 3.0),
    ]
    go_through(lab)
    (metric,) = result_of(lab.run)["metrics"]
    assert metric["cells"][0]["repeats"] == [{"repeat": 1, "value": 2.0, "nodes": {"n1": 1.0, "n2": 3.0}}]
    assert lab.verdict == "pass"


def test_a_metric_that_is_not_found_fails_at_its_line() -> None:
    """With the place where it was looked for; what follows a failure is done."""
    lab = running(plan=measuring())
    lab.finish()
    lab.do(lab.run.measured(measured("n1", None, "not found in stdout (0 bytes)"), lab.now_ns))
    assert lab.count(StartPhase) == 1, "what the other node measured is not known yet"
    lab.do(lab.run.measured(measured("n2", 1.0), lab.now_ns))
    assert lab.whys == "t.toml:8: run/a step a-1 on n1: metric rtt: not found in stdout (0 bytes)"
    assert (lab.phase, lab.last(Prepare).stopped) == ("1/collect", True)


def test_a_metric_that_is_not_found_is_a_failed_step_for_whoever_reads() -> None:
    """A red verdict over green steps and phases would send people looking elsewhere."""
    lab = running(plan=measuring())
    lab.finish()
    lab.do(lab.run.measured(measured("n1", None, "not found"), lab.now_ns))
    lab.do(lab.run.measured(measured("n2", 1.0), lab.now_ns))
    told = [(note.node, note.name, note.why) for note in lab.notes if isinstance(note, MetricMissing)]
    assert told == [("n1", "rtt", "not found")]
    go_through(lab)
    result = result_of(lab.run)
    failed = {step["node"]: step for step in result["steps"] if step["failed"]}
    assert list(failed) == ["n1"]
    assert failed["n1"]["missing_metrics"] == [{"name": "rtt", "why": "not found"}]
    assert {phase["phase"]: phase["failed"] for phase in result["phases"]} == {
        "run": True,
        "collect": False,
        "reset": False,
    }


def test_a_metric_of_a_step_that_was_cut_is_not_missing() -> None:
    """After Ctrl-C it is the interrupt that is to be told, not what a program had no time to print."""
    lab = running(plan=measuring())
    lab.do(lab.run.interrupt(lab.now_ns))
    lab.finish(reason="stopped", message="ended by the fabric")
    for node in ("n1", "n2"):
        lab.do(lab.run.measured(measured(node, None, "not found"), lab.now_ns))
    assert lab.phase == "1/collect", "nobody waits for them"
    assert (lab.verdict, lab.whys) == ("interrupted", "interrupted")
    assert not any(isinstance(note, MetricMissing) for note in lab.notes)


def test_who_cannot_write_the_bundle_cannot_measure_and_does_not_wait_for_it() -> None:
    """The disk is full: what was not read will never be."""
    lab = running(plan=measuring())
    lab.finish()
    lab.do(lab.run.bundle_failed("cannot write the bundle", lab.now_ns))
    assert (lab.phase, lab.last(Prepare).stopped) == ("1/collect", True)
    assert lab.verdict == "error"


@pytest.mark.parametrize(("limit", "verdict"), [(2.0, "pass"), (1.5, "fail")])
def test_checks_decide_at_the_end(limit: float, verdict: str) -> None:
    """With the values of all nodes."""
    lab = running(
        plan=measuring(CheckSpec(metric="rtt", kind="max", line=9, limit=limit, text=f"{limit} ms"))
    )
    lab.finish()
    for node, value in (("n1", 1.0), ("n2", 3.0)):
        lab.do(lab.run.measured(measured(node, value), lab.now_ns))
    go_through(lab)
    assert lab.verdict == verdict
    assert [check["ok"] for check in result_of(lab.run)["checks"]] == [verdict == "pass"]


def test_a_result_that_does_not_fit_into_a_message_is_told_without_its_longest_parts() -> None:
    """The verdict of a long sweep is kept by the broker, too; all of it is in the bundle."""
    result = {
        "verdict": "pass",
        "steps": [{"step": "x" * 100}] * 100,
        "phases": [1, 2],
        "metrics": [{"name": "m"}],
    }
    kept = json.loads(result_text(result, 1000))
    assert (kept["verdict"], kept["metrics"], kept["counts"]) == ("pass", [{"name": "m"}], {"steps": 100})
    assert json.loads(result_text(result, 100_000)) == result


def test_a_phase_in_which_nothing_is_to_be_done_is_over_at_once() -> None:
    """A sweep of a thousand cells would wait three thousand times for nodes that have nothing to do."""
    trial = parse_trial(TRIAL.replace('[collect]\na = "gather"\n', ""), "t.toml")
    lab = running(plan=plain_plan(trial, {}, ("startup", "run", "collect"), 1))
    go_through(lab)
    assert phases(lab) == ["1/run", "1/reset"]
    assert lab.verdict == "pass"


def test_an_attempt_that_is_followed_by_another_has_not_failed() -> None:
    """`retries`."""
    lab = running()
    lab.read("n1", finished("1/run/a/a-1", failed=True, retried=True, exit_code=1))
    through(lab)
    assert lab.verdict == "pass"

"""The result of a run from its stored records: of one that is open, was abandoned, or got more later."""

import json
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from fabric.controller.command import Command, CommandPlan, command_run
from fabric.controller.document import plan_document, plan_text
from fabric.controller.entry import Entry, Read
from fabric.controller.measures import Measured
from fabric.controller.outcome import result_of
from fabric.controller.retelling import Retelling, stored_plan
from fabric.controller.tail import RunTail
from fabric.protocol.messages import NodeBack, RunInfo
from fabric.protocol.records import Notice, RunEnded
from fabric.trial.load import parse_trial
from tests.plans import plain_plan
from tests.unit.run_lab import RUN, Lab, finished, running, through
from tests.unit.test_reader import entry

SWEEP = """
[trial]
name = "t"
repeat = 2
warmup = 1
[matrix]
v = [1, 2]
[nodes]
a = ["n1", "n2"]
[run]
a = { cmd = "work", metric.rtt = { regex = "(x)", unit = "ms" } }
[collect]
a = "gather"
[reset]
a = "clean"
[check]
rtt.max = "2 ms"
"""


def swept() -> Lab:
    """Return a run with three repeats of two cells: a step fails, a metric is not found, a check fails."""
    lab = running(plan=plain_plan(parse_trial(SWEEP, "t.toml"), {}, ("run", "collect"), 2))
    spec = lab.run.plan.trial.steps[0].metrics[0]
    while lab.run.state == "phases":
        phase, fails = lab.phase, lab.phase == "2.3/run"
        lab.finish(**({"failed": True, "exit_code": 3, "message": "exit 3"} if fails else {}))
        for node, value in (("n1", 1.5), ("n2", 3.0)) if phase.endswith("/run") and not fails else ():
            found = None if (phase, node) == ("1.3/run", "n2") else value
            why = "" if found else "not found"
            measured = Measured(node, f"{phase}/a/a-1", 1, spec, found, why)
            lab.do(lab.run.measured(measured, lab.now_ns))
        lab.assign()
        if lab.run.state == "phases":
            lab.start()
    lab.end()
    return lab


def retold(lab: Lab, text: str, document: str, reads: list[Read] | None = None) -> dict[str, Any]:
    plan = stored_plan(text, json.loads(document))
    told = Retelling(lab.run.run, plan, lab.run.nodes)
    for read in lab.reads if reads is None else reads:
        told.read(read)
    told.end("", len(lab.reads))
    return result_of(told)


def test_the_records_tell_what_the_controller_knew() -> None:
    """Whatever becomes of the controller, its run is in the store: cells, phases, steps, metrics, checks."""
    lab = swept()
    known = result_of(lab.run)
    assert {check["ok"] for check in known["checks"]} == {False, True}
    assert known["steps"]
    found = retold(lab, SWEEP, plan_text(plan_document(lab.run.plan)))
    whys = found.pop("why"), known.pop("why")
    assert set(whys[1]) <= set(whys[0])
    for name in ("verdict", "exit_code"):
        del found[name], known[name]
    assert found == known


@pytest.mark.parametrize("limit_bytes", [300, 1 << 20])
def test_a_plan_that_was_shortened_is_no_hindrance(limit_bytes: int) -> None:
    """The broker keeps no more of it than a message takes; the records name cells and repeats."""
    lab = swept()
    found = retold(lab, SWEEP, plan_text(plan_document(lab.run.plan), limit_bytes))
    known = result_of(lab.run)
    assert (found["steps"], found["phases"]) == (known["steps"], known["phases"])
    assert [cell["variables"] for cell in found["cells"]] == [{"v": "1"}, {"v": "2"}]
    assert [len(cell["repeats"]) for cell in found["cells"]] == [3, 3]


def test_a_run_that_goes_on_is_told_as_far_as_it_is_known() -> None:
    """Its controller may have died; a step without an end has begun at least."""
    lab = running()
    found = retold(lab, lab.run.plan.trial.text, plan_text(plan_document(lab.run.plan)))
    assert (found["verdict"], found["exit_code"]) == ("error", 3)
    assert found["why"] == [f"the run was open when record {len(lab.reads)} was its last one"]
    (phase,) = found["phases"]
    assert (phase["phase"], phase["ended"]) == ("run", None)
    assert [(step["node"], step["state"], step["command"]) for step in found["steps"]] == [
        ("n1", "unknown", "work"),
        ("n2", "unknown", "work"),
    ]


def test_what_came_after_the_end_of_a_run_is_told_too() -> None:
    """A node that was lost comes back, and its agent ships what its steps did meanwhile."""
    lab = running()
    ended = Read(len(lab.reads) + 1, "", RunEnded(t_ns=9, bound_ns=0, verdict="error", why=("n2 lost",)), b"")
    late = Read(ended.number + 1, "n2", finished("1/run/a/a-1"), b"")
    reads = [*lab.reads, ended, late]
    found = retold(lab, lab.run.plan.trial.text, plan_text(plan_document(lab.run.plan)), reads)
    assert found["why"] == ["n2 lost"]
    assert [(step["node"], step["state"]) for step in found["steps"]] == [
        ("n1", "unknown"), ("n2", "finished"),
    ]  # fmt: skip


def test_what_the_quorum_did_without_is_no_error_when_it_is_told_anew() -> None:
    """Or a sweep that is resumed would end as error for a node that nobody missed."""
    text = SWEEP.replace("repeat = 2", 'quorum = "50%"\nrepeat = 2')
    lab = running(plan=plain_plan(parse_trial(text, "t.toml"), {}, ("run", "collect"), 1))
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    lab.read("n1", finished(f"{lab.phase}/a/a-1", reason="lost", failed=True, message="restarted"))
    found = retold(lab, text, plan_text(plan_document(lab.run.plan)))
    assert found["why"] == [f"the run was open when record {len(lab.reads)} was its last one"]
    assert found["nodes"]["n1"]["passed_over"]


def test_a_command_that_no_trial_was_written_for_is_told() -> None:
    """What `fabric exec` keeps as a trial has other names for its steps than the run."""
    made = command_run(run=RUN, nodes=["n1", "n2"], command=Command.of(["uname", "-a"]), lease_s=1.0)
    assert isinstance(made.plan, CommandPlan)
    lab = Lab(run=made)
    told = Retelling(RUN, stored_plan(made.plan.trial.text, json.loads(made.document)), {})
    told.read(Read(1, "n1", finished("1/run/node/command"), b""))
    told.end("", 1)
    (step,) = result_of(told)["steps"]
    assert (step["step"], step["command"], lab.over) == ("command", "uname -a", False)


def test_an_imported_trial_is_told_by_its_plan() -> None:
    """Its text is no trial.toml."""
    lab = through(running())
    found = retold(lab, "[Coordinator]\ntrials: 1\n", plan_text(plan_document(lab.run.plan)))
    assert found["steps"] == result_of(lab.run)["steps"]


class Broker:
    """A connection to a broker that has these entries; each turn answers one replay."""

    patience_s = 60.0

    def __init__(self, entries: list[Entry]) -> None:
        self.numbers: Iterator[int] = count(1)
        self._entries = entries
        self._asked: list[Any] = []
        self._tail: Any = None

    def attach(self, tail: Any) -> None:
        self._tail = tail
        tail.on_up(None, 0)

    def send(self, replay: Any) -> None:
        self._asked.append(replay)

    def now_ns(self) -> int:
        return 0

    def turn(self, _deadline_ns: int | None) -> int:
        replay = self._asked.pop(0)
        (found,) = [one for one in self._entries if one.number <= replay.number < one.end] or [None]
        if found is not None:
            self._tail.on_entry(found, 0)
        after = found.end if found else replay.number
        end = SimpleNamespace(
            request=replay.request, run=RUN, next=after, end=after > self._entries[-1].number
        )
        self._tail._carry_out(self._tail._reader.replay_end(end, 0))
        return 0


def test_a_run_that_is_over_is_read_beyond_its_end() -> None:
    """The catalogue has the number of its last record from then; more may have come."""
    notice = Notice(t_ns=0, bound_ns=0, level="info", message="late")
    ended = RunEnded(t_ns=0, bound_ns=0, verdict="error", why=())
    broker = Broker([entry(1, notice), entry(2, ended), entry(3, notice)])
    info = RunInfo(
        run=RUN, name="t", state="closed", verdict="error", operator="ann", opened_ns=1, closed_ns=2,
        nodes=("n1",), last=2,
    )  # fmt: skip
    tail = RunTail(broker, info)  # type: ignore[arg-type]
    found = []
    while not tail.done:
        found += [read.number for read in tail.turn()]
    assert found == [1, 2, 3]

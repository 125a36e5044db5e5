"""What a run that continues another one takes over, and what it does again."""

from dataclasses import replace

import pytest

from fabric.controller.document import plan_document, plan_text
from fabric.controller.outcome import result_of
from fabric.controller.retelling import Retelling
from fabric.controller.run import Run
from fabric.controller.takeover import Source, Survey, key_of, remaining, sources_of, taken
from fabric.protocol.messages import Assign, NodeLost
from fabric.protocol.records import Notice, PhaseFinished, RepeatEnded, RunStarted
from fabric.trial.cells import cells_of, schedule
from fabric.trial.load import parse_trial
from tests.plans import plain_plan
from tests.unit.run_lab import RUN, Lab, finished, running

OLD = "20260301-100000-t-aaaa"

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
a = { cmd = "work", on_fail = "continue" }
[reset]
a = "clean"
"""

ONCE = SWEEP.replace("warmup = 1", 'cycle = ["run"]').replace("[run]", '[startup]\na = "begin"\n[run]')


def ended(cell: int, repeat: int, *, cut: bool = False) -> RepeatEnded:
    return RepeatEnded(t_ns=1, bound_ns=0, cell=cell, repeat=repeat, failed=False, cut=cut)


def planned(text: str = SWEEP) -> tuple[list[tuple[int, int]], Lab]:
    plan = plain_plan(parse_trial(text, "t.toml"), {}, ("run",), 2)
    return [(one.cell.number, one.number) for one in plan.repeats], Lab(plan=plan)


def keys(*sources: Source) -> list[set[tuple[int, int]]]:
    return [set(source.repeats) for source in sources]


def test_a_repeat_has_its_result_if_it_was_carried_to_its_end() -> None:
    """One that a user or a lost node has cut short says nothing that could be compared with others."""
    survey = Survey()
    for record in (ended(1, 1), ended(1, 2, cut=True), Notice(t_ns=1, bound_ns=0, level="info", message="x")):
        survey.take(record)
    assert survey.found == {(1, 1)}


def test_what_was_cut_short_is_recorded_as_that() -> None:
    """Whoever resumes has nothing but the records: a lost node, Ctrl-C."""
    lost = running()
    lost.hear(NodeLost(run=RUN, node="n1", sentence="n1 has left", gone=True))
    lost.wait(0)
    lost.finish("n2")
    interrupted = running()
    interrupted.do(interrupted.run.interrupt(interrupted.now_ns))
    failed = running()
    failed.finish(failed=True, exit_code=1, message="exit 1")
    for lab, cut in ((lost, True), (interrupted, True), (failed, False), (running(), False)):
        while lab.run.state == "phases":
            lab.go_through() if lab.run.desk.alive.keys() >= {"n1", "n2"} else lost_goes_on(lab)
        (end,) = [note for note in lab.notes if isinstance(note, RepeatEnded)]
        assert end.cut is cut


def lost_goes_on(lab: Lab) -> None:
    lab.ready("n2")
    lab.commit()
    lab.finish("n2")


def test_warm_ups_of_an_unfinished_cell_are_done_again() -> None:
    """What they have warmed is cold when the cell is taken up again; those of a finished cell stay."""
    repeats = schedule(parse_trial(SWEEP, "t.toml"), cells_of(parse_trial(SWEEP, "t.toml")), 2, 0)
    done = Source(OLD, frozenset({(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)}))
    assert keys(*taken([done], repeats)) == [{(1, 1), (1, 2), (1, 3), (2, 2)}]


def test_of_a_chain_each_result_is_taken_once_and_the_newest_counts() -> None:
    """A run that was resumed may be interrupted again, and a warm-up done twice is to stand there once."""
    repeats = schedule(parse_trial(SWEEP, "t.toml"), cells_of(parse_trial(SWEEP, "t.toml")), 2, 0)
    first = Source(OLD, frozenset({(1, 1), (1, 2)}))
    second = Source("later", frozenset({(1, 1), (1, 3), (9, 9)}))
    assert keys(*taken([first, second], repeats)) == [{(1, 2)}, {(1, 1), (1, 3)}]


def test_what_is_set_up_once_for_a_cell_is_set_up_again() -> None:
    """The reset of the interrupted run has taken it away, and the first repeat that set it up is not done."""
    trial = parse_trial(ONCE, "t.toml")
    phases = ("startup", "run", "reset")
    repeats = schedule(trial, cells_of(trial), 2, 0, phases)
    assert [one.phases for one in repeats[:2]] == [("startup", "run"), ("run", "reset")]
    left = remaining(repeats, [Source(OLD, frozenset({(1, 1)}))], phases, trial.cycle)
    assert [(one.cell.number, one.number, one.phases) for one in left] == [
        (1, 2, ("startup", "run", "reset")),
        (2, 1, ("startup", "run")),
        (2, 2, ("run", "reset")),
    ]


def test_the_plan_says_what_was_taken_over_and_is_read_back() -> None:
    """The bundle of the run can be made at any time, and the run may have to be resumed itself."""
    _, lab = planned()
    lab.run.plan.resumes = (
        Source(OLD, frozenset({(1, 1), (1, 2), (1, 4), (2, 7)})),
        Source(RUN, frozenset()),
    )
    document = plan_document(lab.run.plan)
    assert document["resumes"][0] == {"run": OLD, "repeats": {"1": "1-2,4", "2": "7"}}
    assert sources_of(document) == lab.run.plan.resumes
    assert '"resumes"' in plan_text(document, 10), "also of a plan that is too long for the broker"


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (finished("2.3/run/a/a-1"), (2, 3)),
        (PhaseFinished(t_ns=0, bound_ns=0, phase="4/run", failed=False), (0, 4)),
        (ended(1, 2), (1, 2)),
        (RunStarted(t_ns=0, bound_ns=0, name="t", nodes=()), None),
    ],
)
def test_records_say_which_repeat_they_belong_to(record: object, key: object) -> None:
    """What belongs to the whole of the old run, its start and its end, is not the new one's."""
    assert key_of(record) == key  # type: ignore[arg-type]


def test_a_run_goes_on_where_the_other_was_cut_and_knows_the_results_of_both() -> None:
    """The sweep has one result in the end: a failure of the first part is a failure of the whole."""
    plan = plain_plan(parse_trial(SWEEP, "t.toml"), {}, ("run",), 2)
    old = running(plan=plan)
    while old.phase != "2.3/run":
        old.finish(**({"failed": True, "message": "exit 1"} if old.phase == "1.2/run" else {}))
        old.assign()
        old.start()
    survey = Survey()
    for read in old.reads:
        survey.take(read.record)
    assert survey.found == {(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)}

    sources = taken([Source(OLD, frozenset(survey.found))], plan.repeats)
    fresh = replace(plan, resumes=sources)
    run = Run(run=RUN, plan=fresh, lease_s=20.0, document="{}", result=lambda _: "{}")
    told = Retelling(RUN, fresh, {})
    for read in old.reads:
        if sources[0].has(read.record):
            told.read(read)
    told.take_over(run.desk)
    lab = Lab(run=run)
    lab.open()
    while lab.run.state == "phases":
        lab.go_through()
        lab.assign()
    lab.end()

    result = result_of(lab.run)
    assert result["verdict"] == "fail"
    assert "exit 1" in result["why"][0]
    assert result["resumes"] == [OLD]
    assert [
        (cell["cell"], sorted((one["repeat"], one["run"]) for one in cell["repeats"]))
        for cell in result["cells"]
    ] == [
        (1, [(1, OLD), (2, OLD), (3, OLD)]),
        (2, [(1, None), (2, OLD), (3, None)]),
    ]
    assert len(result["steps"]) == 6 * 2 * 2, "each step of each repeat once"
    start = next(note for note in lab.notes if isinstance(note, RunStarted))
    assert (start.repeats, start.resumes) == (2, OLD)
    assert sum(isinstance(message, Assign) for message in lab.told) == 2 * 1, "the nodes of the one cell"

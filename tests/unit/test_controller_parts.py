"""The small machines of the controller, each alone."""

from dataclasses import replace
from typing import Any

from fabric.controller.entry import Read
from fabric.controller.history import LAST_BYTES, History
from fabric.controller.notes import BATCH, HOLD_NS, PATIENCE_NS, RESEND_NS, Notes
from fabric.controller.outbox import REPEAT_NS, Outbox
from fabric.controller.script import Script
from fabric.controller.skew import SkewMeter
from fabric.controller.verdict import WHYS, Findings
from fabric.protocol.messages import Acknowledged, Beat, Free, Resend
from fabric.protocol.records import Notice, Output, OutputDropped, StepFinished, StepStarted
from fabric.trial.cells import Cell, Repeat

RUN = "20260301-102207-ping-k3f9"


def notice(text: str) -> Notice:
    return Notice(t_ns=0, bound_ns=0, level="info", message=text)


def script_of(phases: tuple[str, ...], repeats: int, *, cells: int = 1) -> Script:
    every = (*phases, "reset")
    order = [(cell, number) for number in range(1, repeats + 1) for cell in range(1, cells + 1)]
    return Script(
        [Repeat(Cell(cell if cells > 1 else 0, {}), number, False, every) for cell, number in order], every
    )


def phases(script: Script) -> list[str]:
    found = []
    while script.advance():
        found.append(f"{script.repeat.id}/{script.phase}")
    return found


def test_the_script_does_all_phases_of_all_repeats_reset_last() -> None:
    """Reset is always last, also without other phases."""
    assert phases(script_of(("a", "b"), 2)) == ["1/a", "1/b", "1/reset", "2/a", "2/b", "2/reset"]
    assert phases(script_of((), 2)) == ["1/reset", "2/reset"]
    assert phases(script_of((), 2, cells=2)) == ["1.1/reset", "2.1/reset", "1.2/reset", "2.2/reset"]


def test_a_skip_leads_to_the_phase_or_to_the_reset_and_ends_the_repeats() -> None:
    """Interrupted in `a`: collect and reset.  Interrupted in collect: reset."""
    script = script_of(("a", "b", "collect"), 3)
    script.advance()
    script.skip_to("collect")
    assert script.phase == "a", "the present phase goes on"
    assert phases(script) == ["1/collect", "1/reset"]
    script = script_of(("a", "collect"), 3)
    script.advance()
    script.advance()
    script.skip_to("collect")
    assert phases(script) == ["1/reset"]


def test_two_skips_the_later_one_counts() -> None:
    """Ctrl-C twice: reset only."""
    script = script_of(("a", "b", "collect"), 1)
    script.advance()
    script.skip_to("collect")
    script.skip_to("reset")
    assert phases(script) == ["1/reset"]


CYCLED = [
    Repeat(Cell(1, {}), 1, False, ("startup", "run")),
    Repeat(Cell(1, {}), 2, False, ("run",)),
    Repeat(Cell(1, {}), 3, False, ("run", "collect", "reset")),
    Repeat(Cell(2, {}), 1, False, ("startup", "run", "collect", "reset")),
]
ORDER = ("startup", "run", "collect", "reset")


def test_a_repeat_that_is_the_last_one_by_trouble_ends_with_what_a_later_one_would_do() -> None:
    """Whatever was set up for all repeats of a cell is collected from and reset."""
    script = Script(CYCLED, ORDER)
    assert [script.advance() for _ in range(3)] == [True] * 3
    script.is_last_repeat = True
    assert phases(script) == ["1.2/collect", "1.2/reset"]


def test_a_cell_that_is_left_is_reset_and_the_next_one_comes() -> None:
    """A startup that failed spoils the repeats of its cell, not those of the others."""
    script = Script(CYCLED, ORDER)
    script.advance()
    script.leave_cell()
    assert phases(script) == [
        *("1.1/run", "1.1/collect", "1.1/reset"),
        *("2.1/startup", "2.1/run", "2.1/collect", "2.1/reset"),
    ]


def test_the_outbox_repeats_what_is_due_until_it_is_answered() -> None:
    """The moment before, the moment itself, and after the answer never."""
    outbox = Outbox()
    free = Free(run=RUN, node="n1")
    outbox.ask("free", free, 0)
    assert outbox.expire(REPEAT_NS - 1) == []
    assert outbox.expire(REPEAT_NS) == [free]
    assert outbox.expire(REPEAT_NS) == []
    assert outbox.repeat_all(REPEAT_NS + 5) == [free]
    assert outbox.answered("free")
    assert not outbox.answered("free")
    assert outbox.deadline_ns is None


def start(node_bound_ns: int, t_ns: int, *, planned_ns: int = 1000, go: int = 1) -> StepStarted:
    return StepStarted(
        t_ns=t_ns, bound_ns=node_bound_ns, step="1/run/a/a-1", attempt=1, pid=1, event="exec",
        planned_ns=planned_ns, go=go,
    )  # fmt: skip


def test_skew_counts_the_starts_of_the_go_only() -> None:
    """A step with `at`, or a second one, starts later by intention."""
    meter = SkewMeter(t0_ns=1000)
    meter.add("n1", start(10, 1000))
    meter.add("n2", start(20, 1300))
    meter.add("n2", start(20, 9_000_000, planned_ns=8_000_000))
    meter.add("n1", start(10, 9_000_000, planned_ns=0, go=0))
    skew = meter.result
    assert skew is not None
    assert (skew.skew_ns, skew.bound_ns, skew.latest_node, skew.nodes) == (300, 30, "n2", 2)


def test_there_is_no_skew_of_one_node_nor_without_a_bound() -> None:
    """No figure is better than one that proves nothing."""
    meter = SkewMeter(t0_ns=1000)
    meter.add("n1", start(10, 1000))
    assert meter.result is None
    meter.add("n2", start(-1, 1000))
    assert meter.result is None


def test_findings_tell_the_worst_first_and_stay_bounded() -> None:
    """Dirty overrides interrupted, error, fail, invalid; a thousand nodes fill no screen."""
    findings = Findings()
    assert findings.verdict == "pass"
    findings.add("invalid", "skew")
    for index in range(WHYS + 7):
        findings.add("fail", f"step {index}")
    assert findings.verdict == "fail"
    assert findings.whys[-1] == "... and 7 more"
    findings.add("error", "node lost")
    findings.add("dirty", "reset")
    assert findings.verdict == "dirty"
    assert findings.whys[:2] == ("reset", "node lost")


def test_notes_are_sent_again_until_they_are_acknowledged() -> None:
    """The run's own records survive a restart of the broker."""
    notes = Notes(RUN, 7)
    for index in range(BATCH + 1):
        notes.add(notice(str(index)))
    first, second = notes.take(0)
    assert (first.first, len(first.records), second.first) == (1, BATCH, BATCH + 1)
    assert notes.take(1) == []
    notes.acknowledged(Acknowledged(run=RUN, incarnation=7, number=BATCH))
    (again,) = notes.take(RESEND_NS)
    assert (again.first, len(again.records)) == (BATCH + 1, 1)
    notes.acknowledged(Acknowledged(run=RUN, incarnation=7, number=BATCH + 1))
    notes.take(2 * RESEND_NS)
    assert notes.deadline_ns is None


def test_records_wait_for_a_go_but_not_for_long() -> None:
    """What the broker does to store them would delay the phase that starts just now."""
    notes = Notes(RUN, 7)
    notes.add(notice("1"))
    assert notes.take(5, hold=True) == []
    assert notes.deadline_ns == 5 + HOLD_NS
    notes.add(notice("2"))
    assert notes.take(7, hold=True) == []
    (append,) = notes.take(8)
    assert len(append.records) == 2
    notes.add(notice("3"))
    assert notes.take(9, hold=True) == []
    (late,) = notes.take(9 + HOLD_NS, hold=True)
    assert late.first == 3
    (again,) = notes.take(9 + HOLD_NS + RESEND_NS, hold=True)
    assert again.first == 1, "what was sent once is not held"


def test_notes_that_are_never_stored_are_not_waited_for_for_ever() -> None:
    """A broker that is there and refuses or forgets them would leave the run without an end."""
    notes = Notes(RUN, 7)
    assert notes.overdue(100 * PATIENCE_NS) == ""
    notes.add(notice("a"))
    notes.take(5)
    notes.take(5 + PATIENCE_NS - 1)
    assert notes.overdue(5 + PATIENCE_NS - 1) == ""
    assert "not stored what the run says of itself for 60 s (record 1, notice)" in notes.overdue(
        5 + PATIENCE_NS
    )
    notes.restart()
    assert notes.overdue(5 + PATIENCE_NS) == "", "a broker that is back has as long again"
    notes.add(notice("b"))
    notes.take(6 + PATIENCE_NS)
    notes.acknowledged(Acknowledged(run=RUN, incarnation=7, number=1))
    assert notes.overdue(9 * PATIENCE_NS) == "", "what is slow is not refused"
    notes.take(9 * PATIENCE_NS)
    notes.acknowledged(Acknowledged(run=RUN, incarnation=7, number=2))
    notes.take(9 * PATIENCE_NS)
    assert notes.overdue(99 * PATIENCE_NS) == ""


def test_notes_go_back_to_what_the_broker_misses() -> None:
    """A gap is filled from its begin; other incarnations' words mean nothing here."""
    notes = Notes(RUN, 7)
    notes.add(notice("a"))
    notes.add(notice("b"))
    notes.take(0)
    notes.resend(Resend(run=RUN, incarnation=8, number=1))
    assert notes.take(1) == []
    notes.resend(Resend(run=RUN, incarnation=7, number=2))
    assert [append.first for append in notes.take(1)] == [2]
    notes.restart()
    assert [append.first for append in notes.take(2)] == [1]


def test_notes_ask_a_new_connection_where_the_broker_stands() -> None:
    """A controller that waits has nothing to send, and would never learn that its run is closed."""
    notes = Notes(RUN, 7)
    notes.add(notice("a"))
    notes.take(0)
    notes.acknowledged(Acknowledged(run=RUN, incarnation=7, number=1))
    notes.restart(ask=True)
    (asked,) = notes.take(1)
    assert (asked.first, asked.records) == (2, ())
    assert notes.take(2) == []
    assert notes.deadline_ns == 1 + RESEND_NS
    assert [again.first for again in notes.take(1 + RESEND_NS)] == [2]
    notes.acknowledged(Acknowledged(run=RUN, incarnation=7, number=1))
    notes.take(3 * RESEND_NS)
    assert notes.deadline_ns is None
    assert notes.resend(Resend(run=RUN, incarnation=7, number=2)), "not lost: it was never sent"
    assert not notes.resend(Resend(run=RUN, incarnation=7, number=1)), "acknowledged, and not there any more"


def test_history_keeps_the_last_words_and_counts_bytes() -> None:
    """Memory grows with the steps, not with what they print."""
    history = History()
    data = b"x" * LAST_BYTES + b"\nthe end\n"
    for offset in (0, len(data)):
        record = Output(
            t_ns=0, bound_ns=0, step="1/run/a/a-1", attempt=1, stream="stdout", offset=offset, size=len(data)
        )
        history.take(Read(1, "n1", record, data, 1))
    assert history.last_line("n1", "1/run/a/a-1", 1) == "the end"
    assert history.output_bytes["n1", "1/run/a/a-1", 1, "stdout"] == 2 * len(data)
    assert history.read_records["n1", 1] == 2


def test_history_takes_gaps_for_what_they_are() -> None:
    """Output that a node has thrown away is not missing on the way; a thousand gaps are one sentence."""
    history = History()
    step: dict[str, Any] = {"t_ns": 0, "bound_ns": 0, "step": "1/run/a/a-1", "attempt": 1}
    history.take(Read(1, "n1", Output(**step, stream="stdout", offset=0, size=5), b"first", 1))
    for offset in range(5, 1005):
        gap = OutputDropped(**step, stream="stdout", offset=offset, size=1, why="the disk was full")
        history.take(Read(2, "n1", gap, b"", 1))
    end = StepFinished(
        **step,
        reason="exited",
        failed=False,
        exit_code=0,
        signal=None,
        message="exit 0",
        duration_ns=0,
        stdout_bytes=1005,
        stderr_bytes=0,
        user_s=0.0,
        system_s=0.0,
        max_rss_kib=0,
        pipe_held=False,
        survivors=(),
    )
    assert history.lacking("n1", end) == ""
    assert history.gaps("n1", end) == ["1000 bytes of stdout were not kept: the disk was full"]
    assert history.lacking("n1", replace(end, stdout_bytes=1006)) == "stdout has 5 of 1006 bytes"


def test_messages_are_hashable_enough_to_be_asked_by_any_key() -> None:
    """Keys are the caller's: names, pairs, anything hashable."""
    outbox = Outbox()
    keys: list[Any] = ["open", ("assign", "n1"), 3]
    for key in keys:
        outbox.ask(key, Beat(), 0)
    assert len(outbox.expire(REPEAT_NS)) == len(keys)

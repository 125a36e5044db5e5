"""Numbers of messages: each field has a range, and all that follows from it can be said and shown."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fabric.cli.clocktable import clocks_of
from fabric.cli.nodetable import details
from fabric.cli.nodetable import table_of as nodes_table
from fabric.cli.runtable import details as run_details
from fabric.cli.runtable import table_of as runs_table
from fabric.controller.entry import Read
from fabric.controller.measures import Measured
from fabric.controller.outcome import result_of
from fabric.doctor.lab import of_node
from fabric.errors import DecodeError
from fabric.protocol.codec import MESSAGES, RECORDS, decode, decode_record, encode, encode_record
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import Freed, NodeInfo, Ready, RunClosed, RunDetails
from fabric.protocol.numbers import MAX_MEASURE, Count, Instant, Within
from fabric.protocol.records import PhaseFinished, StepStarted
from fabric.report.board import Board
from fabric.report.bundle import BundleWriter
from fabric.report.github import summary_blocks
from fabric.report.style import Palette
from fabric.report.summary import summary
from fabric.report.tailview import Clock, TimelineView
from tests import hostile
from tests.unit.run_lab import RUN, T0_NS, Lab, finished, started

Field = tuple[type, str, type, Within]


def numbers() -> Iterator[Field]:
    """Yield each field of a message or a record that is one number: class, name, type, range."""
    for cls in (*MESSAGES.values(), *RECORDS.values()):
        hints = get_type_hints(cls, include_extras=True)
        for field in fields(cls):
            hint = hints[field.name]
            for part in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
                if get_origin(part) is Annotated and field.name != "protocol":
                    yield cls, field.name, get_args(part)[0], get_args(part)[1]


def bare(hint: Any) -> Iterator[Any]:
    """Yield the parts of a hint that are numbers without a range."""
    if get_origin(hint) is Annotated:
        return
    if hint in {int, float}:
        yield hint
    if is_dataclass(hint):
        for inner in get_type_hints(hint, include_extras=True).values():
            yield from bare(inner)
    elif get_origin(hint) is not None:
        for inner in get_args(hint):
            yield from bare(inner)


def test_every_number_of_a_message_has_a_range() -> None:
    """One that is forgotten is one with which a node can break the arithmetic of others."""
    found = {
        f"{cls.__name__}.{name}"
        for cls in (*MESSAGES.values(), *RECORDS.values())
        for name, hint in get_type_hints(cls, include_extras=True).items()
        if name not in ("kind", "records") and list(bare(hint))
    }
    assert not found
    assert len(list(numbers())) > 150


def test_a_number_beyond_its_range_is_refused_by_name() -> None:
    """At the end of the range is fine; beyond it is not, whatever the field."""
    source = Random(1)
    for cls, name, kind, within in numbers():
        least, most = kind(within.least), kind(within.most)
        for good in (least, most):
            assert getattr(_again(hostile.instance(source, cls), name, good), name) == good
        beyond = (most * 1.01, -1e308, float("nan"), float("inf")) if kind is float else (most + 1, least - 1)
        for bad in beyond:
            with pytest.raises(DecodeError, match=name):
                _again(hostile.instance(source, cls), name, bad)


def _again(whole: Any, name: str, value: float) -> Any:
    """Return a message or a record, with one field as it is given, as its receiver reads it."""
    if type(whole) in RECORDS.values():
        kind, body = msgpack.unpackb(encode_record(whole))
        return decode_record([kind, body | {name: value}])
    kind, body = msgpack.unpackb(encode(whole), strict_map_key=False)
    version = {"protocol": PROTOCOL_VERSION} if "protocol" in body else {}
    return decode(msgpack.packb([kind, body | version | {name: value}]))


def test_what_follows_from_two_numbers_can_be_said() -> None:
    """The skew of a phase is told by the controller: its nodes must not be able to make that impossible."""
    ends: Any = get_args(Instant)[1]
    bounds = [within.most for cls, name, _, within in numbers() if (cls, name) == (StepStarted, "bound_ns")]
    skews = [within.most for _, name, _, within in numbers() if name == "skew_bound_ns"]
    assert min(skews) >= 16 * max(bounds)
    assert ends.most * 2 < 1 << 63
    assert get_args(Count)[1].most * 2 < 1 << 62


def outrageous(source: Random, record: Any) -> Any:
    """Return a record of a node with the numbers that the codec still lets through."""
    names = {name: within for cls, name, kind, within in numbers() if cls is type(record) and kind is int}
    floats = {name: within for cls, name, kind, within in numbers() if cls is type(record) and kind is float}
    kept = ("attempt", "go", *(("planned_ns",) if source.random() < 0.7 else ()))
    changes = {
        name: source.choice((int(within.least), int(within.most), source.randint(0, int(within.most))))
        for name, within in names.items()
        if name not in kept and source.random() < 0.5
    }
    changes |= {name: within.most for name, within in floats.items() if source.random() < 0.5}
    return replace(record, **changes)


MEASURED = """
[trial]
name = "t"
repeat = 2
[nodes]
a = ["n1", "n2"]
[run]
a = { cmd = "work", metric.rtt = { regex = "(x)", unit = "B" } }
[reset]
a = "clean"
[check]
rtt.max = "2 B"
"""

MEASURES = (MAX_MEASURE, -MAX_MEASURE, 5e-324, -5e-324, 0.0, 1e-200, 1.5)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1 << 32))
@example(0)
def test_a_run_whose_nodes_report_outrageous_numbers_ends_and_is_shown(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """What the run itself says, asks and stores can be read by its receivers, and the reports can be made."""
    source, lab = Random(seed), Lab(MEASURED, repeats=2, phases=("run",))
    spec = lab.run.plan.trial.steps[0].metrics[0]
    lab.open()
    while lab.run.state == "phases":
        phase = lab.phase
        for node in ("n1", "n2"):
            ready = Ready(run=RUN, node=node, phase=phase, clock_bound_ns=1000, rtt_ns=2000)
            lab.hear(outrageous(source, ready))
        lab.commit()
        for node in ("n1", "n2"):
            lab.read(node, outrageous(source, started(f"{phase}/a/a-1", T0_NS)))
            lab.read(node, outrageous(source, finished(f"{phase}/a/a-1")))
            lab.read(node, outrageous(source, PhaseFinished(t_ns=0, bound_ns=0, phase=phase, failed=False)))
        for node in ("n1", "n2") if phase.endswith("/run") else ():
            measured = Measured(node, f"{phase}/a/a-1", 1, spec, source.choice(MEASURES), "")
            lab.do(lab.run.measured(measured, lab.now_ns))
    for node in ("n1", "n2"):
        lab.hear(Freed(run=RUN, node=node, incarnation=1, records=0, reset_failed=False))
    lab.hear(RunClosed(request=2, run=RUN))
    assert lab.over
    for message in lab.told:
        assert decode(encode(message)) == message
    for note in lab.notes:
        assert decode_record(msgpack.unpackb(encode_record(note))) == note
    _show(lab, lab.reads, tmp_path_factory.mktemp("b") / RUN)


def _show(lab: Lab, reads: list[Read], place: Path) -> None:
    """Make everything that people get of a run."""
    writer = BundleWriter(place)
    for read in reads:
        writer.write(read)
    result = writer.finish(result_of(lab.run), latest=False)
    assert "Infinity" not in json.dumps(result)
    assert "NaN" not in json.dumps(result)
    assert list(summary(result, Palette(color=False)))
    assert list(summary_blocks(result, place))
    for name in ("run", "phase", "wall"):
        view = TimelineView(clock=Clock(name, None))
        assert [*view.lines(reads, 0), *view.finish()]
    board = Board()
    for read in reads:
        board.take(read, 1)
        board.sample(2)


def test_what_nodes_say_of_their_clocks_can_be_listed() -> None:
    """One that lies must not keep anybody from seeing all the others."""
    source = Random(1)
    for _ in range(60):
        node, now_ns = hostile.instance(source, NodeInfo), source.choice((0, T0_NS))
        run = hostile.instance(source, RunDetails)
        assert clocks_of([node], now_ns)
        assert nodes_table([node], now_ns)
        assert details(node, now_ns)
        assert of_node(node, now_ns)
        assert runs_table([run.info], now_ns)
        assert run_details(run, (), now_ns)

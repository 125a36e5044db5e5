"""What the tail shows: the wanted records only, as text or as the lines of events.jsonl."""

import json

import pytest

from fabric.controller.entry import Read
from fabric.protocol.records import Notice, Output, Record
from fabric.report.streams import IDLE_NS
from fabric.report.views import JsonView, Selection, TextView


def output(data: bytes = b"x\n", step: str = "1/run/db/etcd", t_ns: int = 0) -> Output:
    return Output(t_ns=t_ns, bound_ns=0, step=step, attempt=1, stream="stdout", offset=0, size=len(data))


def read(record: Record, node: str = "lab1", data: bytes = b"x\n") -> Read:
    return Read(1, node, record, data if isinstance(record, Output) else b"")


NOTICE = Notice(t_ns=0, bound_ns=0, level="info", message="m")


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), ["lab1 etcd", "lab2 bench", "lab1 notice", " notice"]),
        (Selection(nodes=frozenset({"lab1"})), ["lab1 etcd", "lab1 notice"]),
        (Selection(roles=frozenset({"db"})), ["lab1 etcd"]),
        (Selection(steps=frozenset({"bench", "other"})), ["lab2 bench"]),
        (Selection(nodes=frozenset({"lab1"}), steps=frozenset({"bench"})), []),
    ],
)
def test_only_what_is_wanted_is_shown(selection: Selection, wanted: list[str]) -> None:
    """Values of one option add up, options narrow each other; a role or a step means records of steps."""
    reads = {
        "lab1 etcd": read(output()),
        "lab2 bench": read(output(step="1/run/client/bench"), "lab2"),
        "lab1 notice": read(NOTICE),
        " notice": read(NOTICE, ""),
    }
    assert [name for name, candidate in reads.items() if candidate in selection] == wanted


def test_json_lines_count_from_the_runs_first_record() -> None:
    """A tail that begins in the middle shows the times that the bundle has."""
    lines = list(JsonView(origin_ns=1_000_000_000).lines([read(output(t_ns=3_500_000_000))], 0))
    assert [json.loads(line)["t"] for line in lines] == [2.5]
    lines = list(JsonView().lines([read(output(t_ns=5)), read(output(t_ns=1_000_000_005))], 0))
    assert [json.loads(line)["t"] for line in lines] == [0.0, 1.0]


def test_text_shows_an_unfinished_line_when_nothing_more_comes() -> None:
    """The loop has to wake up for it: that is what the deadline is for."""
    view = TextView()
    assert list(view.lines([read(output(b"prompt"), data=b"prompt")], 0)) == []
    assert view.deadline_ns == IDLE_NS
    assert len(list(view.lines([], IDLE_NS))) == 1
    assert list(view.finish()) == []

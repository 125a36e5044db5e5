"""Metrics of a step, read from what it left in the bundle."""

from pathlib import Path

import pytest

from fabric.controller import measuring
from fabric.controller.measuring import measure
from fabric.protocol.records import StepFinished
from fabric.trial.load import parse_trial
from tests.plans import plain_plan
from tests.unit.test_render_text import step_finished

TRIAL = """
[trial]
name = "t"
[nodes]
a = "n1"
[run]
a = { cmd = "x", metric.rtt = { json = "rtt" } }
"""


class Written:
    """A step that wrote to stdout, and brought no file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def output(self, _node: str, _end: StepFinished) -> dict[str, Path]:
        return {"stdout": self._path}

    def take_files(self, _node: str, _end: StepFinished) -> dict[str, Path]:
        return {}


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (16, "the last 16 of 38 bytes: metrics are looked for in no more): it is no JSON"),
        (38, ""),
    ],
)
def test_a_document_that_is_over_the_limit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, why: str
) -> None:
    """What is left of it is no JSON; who is told that alone looks for a fault of the program."""
    monkeypatch.setattr(measuring, "MEASURED_BYTES", limit)
    path = tmp_path / "stdout"
    path.write_text('{"rtt": 7, "filler": "xxxxxxxxxxxxxx"}')
    plan = plain_plan(parse_trial(TRIAL, "t.toml"), {}, ("run",), 1)
    (step,), resolved = plan.trial.steps, plan.resolved("1/run/a/a-1", "n1")
    assert resolved is not None
    end = step_finished(step="1/run/a/a-1")
    (measured,) = measure(Written(path), "n1", end, step, resolved)
    assert (measured.value, why in measured.why) == (None if why else 7.0, True)

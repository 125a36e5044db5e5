"""docs/bundle.md names every field of result.json."""

import re
from typing import Any

from fabric.controller.measures import Measured
from fabric.controller.outcome import result_of
from fabric.protocol.messages import GoCommitted, StartPhase
from fabric.trial.load import parse_trial
from tests.architecture.source import ROOT
from tests.plans import plain_plan
from tests.unit.run_lab import RUN, T0_NS, Lab, finished

TRIAL = """
[trial]
name = "t"
[nodes]
a = ["n1", "n2"]
[[run.a]]
cmd = "work"
metric.m = { regex = "(x)", unit = "ms" }
[check]
m.max = "2 ms"
"""


def fields(value: Any) -> set[str]:
    """Return the names of all fields; maps by name of a node, network or variable are not looked into."""
    if isinstance(value, list):
        return {name for item in value for name in fields(item)}
    if not isinstance(value, dict):
        return set()
    free = {"nodes", "addresses", "facts", "labels", "matrix", "variables", "reasons", "versions", "roles"}
    inner = {name for key, item in value.items() if key not in free for name in fields(item)}
    return set(value) | inner


def test_every_field_of_the_result_is_documented() -> None:
    """Scripts are written by it; a field that is not there is one that nobody may use."""
    lab = Lab(plan=plain_plan(parse_trial(TRIAL, "t.toml"), {}, ("run",), 1))
    lab.open()
    lab.ready()
    lab.abort({"n1": "busy"})
    lab.wait(1)
    start = lab.last(StartPhase)
    lab.hear(GoCommitted(run=RUN, phase=start.phase, go=start.go, t0_ns=T0_NS, lead_ns=1))
    lab.finish()
    lab.read("n1", finished("1/run/a/a-1", attempt=2))
    spec = lab.run.plan.trial.steps[0].metrics[0]
    for node in ("n1", "n2", "n1"):
        lab.do(lab.run.measured(Measured(node, "1/run/a/a-1", 1, spec, 1.0, ""), lab.now_ns))
    while lab.run.state == "phases":
        lab.go_through()
    lab.end()
    result = result_of(lab.run)
    used = fields(result) | fields(list(result["nodes"].values()))
    assert {"skew_s", "stdev", "limit_text", "aborted", "retried", "lost"} <= used, "the run shows them all"
    documented = set(re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs/bundle.md").read_text()))
    assert used - documented == set()

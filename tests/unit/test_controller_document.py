"""plan.json."""

import json
from typing import Any

from fabric.controller.document import plan_document, plan_text
from fabric.controller.plan import RunPlan, make_plan
from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.trial.cells import cells_of
from fabric.trial.load import parse_trial
from fabric.trial.nodespec import MAX_NODES
from fabric.trial.plan import override_nodes
from fabric.trial.resolve import resolve
from tests.plans import plain_plan
from tests.unit.test_trial_plan import FULL, NODES, TRIAL

MATRIX = """
[trial]
name = "t"
repeat = 2
warmup = 1
distinct = ["a", "b"]
[matrix]
a = "lab[1-33]"
b = "lab[1-33]"
[nodes]
server = "$a"
client = "$b"
load = "gen[1-67]"
[env]
DEBUG = "1"
[startup]
server = { spawn = "serve" }
[run]
client = "ask $server"
load = "load $server $client"
"""


def matrix_plan(text: str = MATRIX, *only: str, repeats: int = 2) -> RunPlan:
    trial = parse_trial(text, "t.toml")
    cells = cells_of(trial, only)
    found = resolve(trial, cells, None, 7)
    return make_plan(trial, cells, found, {}, phases=trial.phases, repeats=repeats, seed=7)


def test_the_plan_has_every_command_and_node() -> None:
    """plan.json says years later what was done, and where in the file it stood."""
    plan = plan_document(plain_plan(TRIAL, NODES, ("startup", "run"), 3))
    assert json.loads(json.dumps(plan)) == plan
    assert (plan["repeats"], plan["phases"]) == (3, ["startup", "run", "reset"])
    assert plan["roles"]["client"] == ["lab3", "lab2", "lab1"]
    assert plan["nodes"]["lab2"] == {"address": "10.0.0.2"}
    assert plan["variables"]["client_all"] == "lab3 10.0.0.2 10.0.0.1"
    assert plan["cells"] == [{"cell": 0, "variables": {}, "roles": {}}]
    assert [(step["phase"], step["step"], step["line"], step["until"]) for step in plan["steps"]] == [
        ("startup", "daemon", 7, "run"),
        ("startup", "monitor", 11, "reset"),
        ("run", "client-1", 16, None),
        ("run", "client-2", 22, None),
        ("run", "server-1", 24, None),
        ("reset", "client-1", 27, None),
    ]


def test_a_step_says_what_differs_from_the_usual() -> None:
    """A hundred defaults would hide what was asked for."""
    plan = plan_document(plain_plan(FULL, {}, ("startup", "run", "collect"), 1))
    assert json.loads(json.dumps(plan)) == plan
    serve, load = plan["steps"][:2]
    assert serve["ready"]["file"] == "$WORK/up"
    assert serve["may_exit"]
    assert not {"user", "stop", "put"} & serve.keys()
    assert (load["user"], load["attempts"], load["metrics"]) == ("nobody", 3, ["a", "b"])


def test_a_matrix_is_written_as_what_differs_between_its_cells() -> None:
    """A cell's role is the number of a list, which is there once."""
    plan = plan_document(matrix_plan())
    assert (plan["seed"], plan["repeats"], plan["warmup"]) == (7, 2, 1)
    assert list(plan["roles"]) == ["load"]
    assert plan["variables"].keys() == {"load", "load_all"}
    last = plan["cells"][-1]
    assert (last["cell"], last["variables"]) == (33 * 32, {"a": "lab33", "b": "lab32"})
    assert [plan["groups"][last["roles"][role]] for role in ("server", "client")] == [["lab33"], ["lab32"]]


def test_the_plan_of_a_large_trial_fits_into_a_message() -> None:
    """It travels with the trial when the run is opened."""
    assert len(json.dumps(plan_document(matrix_plan()))) < MAX_TEXT_BYTES
    large = override_nodes(TRIAL, {"server": f"node[1000-{999 + MAX_NODES - 1}]", "client": "gen"})
    nodes = {f"node{number}": {"": "192.168.100.100"} for number in range(1000, 1000 + MAX_NODES)}
    assert len(json.dumps(plan_document(plain_plan(large, nodes, ("run",), 5)))) < MAX_TEXT_BYTES


def test_a_plan_that_is_too_long_goes_to_the_broker_without_its_longest_parts() -> None:
    """The bundle has all of it; a trial is not refused for what nobody has to read there."""
    document = plan_document(matrix_plan())
    assert json.loads(plan_text(document)) == document
    short: dict[str, Any] = json.loads(plan_text(document, 20_000))
    assert short["counts"] == {"cells": 33 * 32, "nodes": 100, "steps": 3}
    assert short["trial"] == document["trial"]
    assert "steps" not in short

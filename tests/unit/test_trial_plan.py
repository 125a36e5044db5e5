"""What every node gets to do."""

import json
import shutil
import subprocess

import pytest

from fabric.errors import UsageError
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.protocol.messages import Prepare, Step
from fabric.trial.load import parse_trial
from fabric.trial.nodespec import MAX_NODES
from fabric.trial.plan import (
    node_names,
    override_nodes,
    phase_ends,
    phase_steps,
    plan_document,
    reset_steps,
    select_phases,
)

TEXT = """
[trial]
name = "t"
[nodes]
server = "lab1"
client = ["lab3", "lab2", "lab1"]
[[startup.server]]
name = "daemon"
spawn = "serve"
until = "run"
[[startup.server]]
name = "monitor"
spawn = ["watch", "$me"]
signal = "INT"
grace = "200ms"
[[run.client]]
cmd = "echo $server"
env = { PEERS = "${server_all}:$repeat", me = "x", COST = "5$$", PYTHONUNBUFFERED = "" }
dir = "/tmp/$my_name"
at = "1.5s"
timeout = "2m"
[[run.client]]
cmd = "true"
[[run.server]]
cmd = "true"
[reset]
client = "rm x"
"""
TRIAL = parse_trial(TEXT, "t.toml")
NODES = {"lab1": {"": "10.0.0.1", "test": "10.1.0.1"}, "lab2": {"": "10.0.0.2"}, "lab3": {"test": "10.1.0.3"}}


def test_nodes_come_in_the_order_of_the_file() -> None:
    """A node that plays two roles is one node."""
    assert node_names(TRIAL) == ("lab1", "lab3", "lab2")


def test_every_node_has_its_steps_in_their_order() -> None:
    """A node may play several roles, and one without steps still takes part in the barrier."""
    run = phase_steps(TRIAL, 2, "run", NODES)
    assert [step.step for step in run["lab2"]] == ["2/run/client/client-1", "2/run/client/client-2"]
    assert {step.step for step in run["lab1"]} == {
        "2/run/client/client-1",
        "2/run/client/client-2",
        "2/run/server/server-1",
    }
    assert phase_steps(TRIAL, 2, "startup", NODES)["lab2"] == ()
    assert phase_steps(TRIAL, 2, "collect", NODES) == {"lab1": (), "lab3": (), "lab2": ()}


def test_a_step_is_fully_resolved() -> None:
    """The agent knows nothing of the trial: all that it needs is in the message."""
    first = phase_steps(TRIAL, 2, "run", NODES)["lab2"][0]
    assert first == Step(
        step="2/run/client/client-1",
        verb="cmd",
        argv=("/bin/sh", "-c", "echo $server"),
        env={
            "server": "10.0.0.1",
            "server_all": "10.0.0.1",
            "client": "lab3",
            "client_all": "lab3 10.0.0.2 10.0.0.1",
            "me": "x",
            "my_name": "lab2",
            "my_role": "client",
            "my_index": "1",
            "repeat": "2",
            "PYTHONUNBUFFERED": "",
            "PEERS": "10.0.0.1:2",
            "COST": "5$",
        },
        dir="/tmp/lab2",
        timeout_s=120.0,
        at_s=1.5,
        ok=(0,),
        on_fail="stop",
        when="passed",
        signal=15,
        grace_s=5.0,
    )


def test_a_list_is_run_as_it_stands() -> None:
    """No shell, so nothing is expanded; and a spawned step has no timeout."""
    monitor = phase_steps(TRIAL, 1, "startup", NODES)["lab1"][1]
    assert (monitor.verb, monitor.argv) == ("spawn", ("watch", "$me"))
    assert (monitor.timeout_s, monitor.signal, monitor.grace_s) == (None, 2, 0.2)
    assert (monitor.env["me"], monitor.env["PYTHONUNBUFFERED"]) == ("10.0.0.1", "1")


def test_steps_fit_the_wire() -> None:
    """Names and types have to be those of the codec, which is strict."""
    for steps in phase_steps(TRIAL, 1, "run", NODES).values():
        message = Prepare(
            run="r", node="lab1", phase="1/run", end=(), failed=False, stopped=False, steps=steps
        )
        assert decode(encode(message)) == message


def test_the_environment_is_what_a_command_sees() -> None:
    """Names that a shell could not expand would be of no use."""
    sh = shutil.which("sh")
    assert sh is not None
    step = phase_steps(TRIAL, 3, "run", NODES)["lab3"][1]
    line = "echo $server $client_all $me $my_name $my_role $my_index $repeat"
    shown = subprocess.run([sh, "-c", line], env=step.env, capture_output=True, text=True, check=True)
    assert shown.stdout == "10.0.0.1 lab3 10.0.0.2 10.0.0.1 lab3 lab3 client 0 3\n"


def test_spawned_steps_end_where_until_says() -> None:
    """The end goes to every node of the role, and to no other."""
    assert phase_ends(TRIAL, 2, "run") == {"lab1": ("2/startup/server/daemon",), "lab3": (), "lab2": ()}
    assert phase_ends(TRIAL, 2, "collect")["lab1"] == ("2/startup/server/monitor",)
    assert phase_ends(TRIAL, 2, "reset")["lab1"] == ()


def test_a_spawned_step_whose_end_is_left_out_ends_at_the_reset() -> None:
    """`--phases startup` must not leave the daemon behind."""
    selected = select_phases(["startup"])
    assert phase_ends(TRIAL, 1, "reset", selected)["lab1"] == (
        "1/startup/server/daemon",
        "1/startup/server/monitor",
    )
    assert phase_ends(TRIAL, 1, "reset", select_phases(["run"]))["lab1"] == ()


def test_the_reset_that_a_node_does_alone_has_repeat_0() -> None:
    """Its records must not be taken for those of the reset that the controller asked for."""
    reset = reset_steps(TRIAL, NODES)
    assert [step.step for step in reset["lab2"]] == ["0/reset/client/client-1"]
    assert (reset["lab2"][0].when, reset["lab2"][0].env["repeat"]) == ("always", "0")


def test_the_reset_always_belongs_to_the_phases() -> None:
    """What was left out by hand is not what was brought up by hand."""
    assert select_phases(["run", "startup"]) == ("startup", "run", "reset")
    assert select_phases([]) == ("reset",)
    with pytest.raises(UsageError, match="no phase `colect`") as raised:
        select_phases(["colect"])
    assert "did you mean `collect`?" in raised.value.hint


def test_nodes_can_be_overridden() -> None:
    """The same trial runs in two labs."""
    changed = override_nodes(TRIAL, {"client": "gen[01-02], gen9"})
    assert changed.roles == {"server": ("lab1",), "client": ("gen01", "gen02", "gen9")}
    assert TRIAL.roles["client"] == ("lab3", "lab2", "lab1")


@pytest.mark.parametrize(
    ("role", "spec", "message"),
    [
        ("sever", "a", "no role `sever`"),
        ("server", "", "names no node"),
        ("server", "a,a", "named twice"),
        ("server", "3 of @x", "not supported by this version"),
        ("server", f"x[1-{MAX_NODES}]", "over the limit"),
    ],
)
def test_a_wrong_override_is_refused(role: str, spec: str, message: str) -> None:
    """It is checked as strictly as the file."""
    with pytest.raises(UsageError, match=message):
        override_nodes(TRIAL, {role: spec})


def test_the_plan_has_every_command_and_node() -> None:
    """plan.json says years later what was done, and where in the file it stood."""
    plan = plan_document(TRIAL, 3, ("startup", "run", "reset"), NODES)
    assert json.loads(json.dumps(plan)) == plan
    assert (plan["repeats"], plan["phases"]) == (3, ["startup", "run", "reset"])
    assert plan["roles"]["client"] == ["lab3", "lab2", "lab1"]
    assert plan["nodes"]["lab2"] == {"address": "10.0.0.2"}
    assert plan["variables"]["client_all"] == "lab3 10.0.0.2 10.0.0.1"
    assert [(step["phase"], step["step"], step["line"], step["until"]) for step in plan["steps"]] == [
        ("startup", "daemon", 7, "run"),
        ("startup", "monitor", 11, "reset"),
        ("run", "client-1", 16, None),
        ("run", "client-2", 22, None),
        ("run", "server-1", 24, None),
        ("reset", "client-1", 27, None),
    ]


def test_the_plan_of_the_largest_trial_fits_into_a_message() -> None:
    """It travels with the trial when the run is opened."""
    large = override_nodes(TRIAL, {"server": f"node[1000-{999 + MAX_NODES}]", "client": "node1000"})
    nodes = {node: {"": "192.168.100.100"} for node in node_names(large)}
    assert len(json.dumps(plan_document(large, 5, ("run", "reset"), nodes))) < MAX_TEXT_BYTES

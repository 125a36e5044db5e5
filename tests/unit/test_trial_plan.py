"""What every node gets to do."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace

import pytest

from fabric.errors import UsageError
from fabric.protocol.codec import decode, encode
from fabric.protocol.messages import Prepare, ReadyWhen, Step
from fabric.trial.cells import Cell, Repeat, cells_of, schedule
from fabric.trial.load import parse_trial
from fabric.trial.model import Trial
from fabric.trial.plan import (
    check_stops,
    ends_with,
    override_nodes,
    phase_steps,
    reset_steps,
    select_phases,
)
from fabric.trial.resolve import Roles, resolve

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


PHASES = ("startup", "run", "collect", "reset")


def roles_of(trial: Trial) -> Roles:
    return resolve(trial, cells_of(trial), None, 0).roles[cells_of(trial)[0].number]


def steps(
    trial: Trial, phase: str, number: int = 1, nodes: Mapping[str, Mapping[str, str]] = NODES
) -> dict[str, tuple[Step, ...]]:
    """Return the steps of a repeat of the first cell."""
    return phase_steps(trial, repeat(trial, number), phase, roles_of(trial), nodes)


def repeat(trial: Trial, number: int = 1) -> Repeat:
    return schedule(replace(trial, order="sequential"), cells_of(trial), 9, 0)[number - 1]


def test_every_node_has_its_steps_in_their_order() -> None:
    """A node may play several roles, and one without steps still takes part in the barrier."""
    run = steps(TRIAL, "run", 2)
    assert [step.step for step in run["lab2"]] == ["2/run/client/client-1", "2/run/client/client-2"]
    assert {step.step for step in run["lab1"]} == {
        "2/run/client/client-1",
        "2/run/client/client-2",
        "2/run/server/server-1",
    }
    assert steps(TRIAL, "startup", 2)["lab2"] == ()
    assert steps(TRIAL, "collect", 2) == {"lab1": (), "lab3": (), "lab2": ()}


def test_a_step_is_fully_resolved() -> None:
    """The agent knows nothing of the trial: all that it needs is in the message."""
    first = steps(TRIAL, "run", 2)["lab2"][0]
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
    monitor = steps(TRIAL, "startup")["lab1"][1]
    assert (monitor.verb, monitor.argv) == ("spawn", ("watch", "$me"))
    assert (monitor.timeout_s, monitor.signal, monitor.grace_s) == (None, 2, 0.2)
    assert (monitor.env["me"], monitor.env["PYTHONUNBUFFERED"]) == ("10.0.0.1", "1")


def test_steps_fit_the_wire() -> None:
    """Names and types have to be those of the codec, which is strict."""
    for own in (*steps(TRIAL, "run").values(), *steps(FULL, "run").values()):
        message = Prepare(run="r", node="lab1", phase="1/run", end=(), failed=False, stopped=False, steps=own)
        assert decode(encode(message)) == message


def test_the_environment_is_what_a_command_sees() -> None:
    """Names that a shell could not expand would be of no use."""
    sh = shutil.which("sh")
    assert sh is not None
    step = steps(TRIAL, "run", 3)["lab3"][1]
    line = "echo $server $client_all $me $my_name $my_role $my_index $repeat"
    shown = subprocess.run([sh, "-c", line], env=step.env, capture_output=True, text=True, check=True)
    assert shown.stdout == "10.0.0.1 lab3 10.0.0.2 10.0.0.1 lab3 lab3 client 0 3\n"


def test_spawned_steps_end_where_until_says() -> None:
    """Or at the reset: `--phases startup` must not leave the daemon behind."""
    daemon, monitor = TRIAL.steps[:2]
    assert ends_with(TRIAL, daemon, PHASES) == ("run",)
    assert ends_with(TRIAL, monitor, PHASES) == ("collect",)
    assert ends_with(TRIAL, daemon, select_phases(["startup"])) == ("reset",)


def test_a_step_of_the_cycle_does_not_outlive_its_repeat() -> None:
    """The next repeat starts it anew, on the same port."""
    trial = replace(TRIAL, cycle=("startup", "run"))
    assert ends_with(trial, trial.steps[0], PHASES) == ("run",)
    assert ends_with(trial, trial.steps[1], PHASES) == ("collect", "startup")
    trial = replace(TRIAL, cycle=("run",))
    assert ends_with(trial, trial.steps[1], PHASES) == ("collect",)


def test_the_reset_that_a_node_does_alone_has_repeat_0() -> None:
    """Its records must not be taken for those of the reset that the controller asked for."""
    reset = reset_steps(TRIAL, Cell(0, {}), roles_of(TRIAL), NODES)
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
    assert roles_of(changed) == {"server": ("lab1",), "client": ("gen01", "gen02", "gen9")}
    assert TRIAL.roles["client"] == ("lab3", "lab2", "lab1")


@pytest.mark.parametrize(
    ("role", "spec", "message"),
    [
        ("sever", "a", "no role `sever`"),
        ("server", "", "names no node"),
        ("server", "0 of @x", "no number of nodes"),
        ("server", "$x", "nothing sets"),
        ("server", "x[1-5000]", "over the limit"),
    ],
)
def test_a_wrong_override_is_refused(role: str, spec: str, message: str) -> None:
    """It is checked as strictly as the file."""
    with pytest.raises(UsageError, match=message):
        override_nodes(TRIAL, {role: spec})


FULL = parse_trial(
    """
[trial]
name = "t"
network = "test"
output_limit = "1 MB"
[matrix]
size = [8, 16]
[env]
WORK = "/w/$my_name"
DEBUG = "$size"
[nodes]
db = "lab[1-3]"
[[startup.db]]
name = "serve"
spawn = "serve"
ready.file = "$WORK/up"
ready.within = "5s"
may_exit = true
[[run.db]]
name = "load"
cmd = "load"
at = "2s"
spread = "3s"
dir = "$WORK/$size"
env = { DEBUG = "x$DEBUG", HOME = "$WORK" }
stdin = { file = "$HOME/in" }
retries = 2
retry_on = "fail"
user = "nobody"
pty = true
limits = { files = 10 }
output = "drop"
metric.a = { file = "$WORK/a.json", json = "x" }
metric.b = { file = "$WORK/a.json", json = "y" }
[[run.db]]
cmd = "x"
stdin = "é"
spread = "3s"
[[run.db]]
stop = "serve"
[[run.db]]
wait = "5s"
[[run.db]]
fetch = "$WORK/*.log"
""",
    "t.toml",
)


def test_every_field_of_a_step_is_resolved() -> None:
    """Names are expanded where no shell would do it; the step's own variables win over those of [env]."""
    own = steps(FULL, "run", nodes={"lab2": {"": "10.0.0.2", "test": "10.1.0.2"}})["lab2"]
    load, plain, stop, wait, fetch = own
    assert load.step == "1.1/run/db/load"
    assert {name: load.env[name] for name in ("size", "db_all", "me", "WORK", "DEBUG", "HOME")} == {
        "size": "8",
        "db_all": "lab1 10.1.0.2 lab3",
        "me": "10.1.0.2",
        "WORK": "/w/lab2",
        "DEBUG": "x8",
        "HOME": "/w/lab2",
    }
    assert (load.dir, load.stdin_file, load.bring) == ("/w/lab2/8", "/w/lab2/in", ("/w/lab2/a.json",))
    assert (load.attempts, load.retry_on, load.user, load.pty) == (3, "fail", "nobody", True)
    assert (load.limits, load.output, load.output_limit_bytes) == ({"files": 10}, "drop", 1_000_000)
    assert (plain.stdin, plain.at_s, plain.output) == ("é".encode(), 1.0, "keep")
    assert (stop.verb, stop.target) == ("stop", "1.1/startup/db/serve")
    assert (wait.verb, wait.wait_s, wait.argv) == ("wait", 5.0, ())
    assert (fetch.verb, fetch.paths) == ("fetch", ("/w/lab2/*.log",))
    serve = steps(FULL, "startup")["lab2"][0]
    assert serve.ready == ReadyWhen(file="/w/lab2/up", within_s=5.0)
    assert (serve.may_exit, serve.timeout_s) == (True, None)


def test_the_nodes_of_a_role_start_evenly_over_the_spread() -> None:
    """The first at once, the last one step before the end: then the next one would begin."""
    assert [own[0].at_s for own in steps(FULL, "run").values()] == [2.0, 3.0, 4.0]


def test_a_stop_means_what_was_spawned_in_this_repeat_or_before_the_cycle() -> None:
    """What is outside of the cycle was started in the first repeat of the cell."""
    assert steps(FULL, "run", 3)["lab1"][2].target == "1.3/startup/db/serve"
    trial = replace(FULL, cycle=("run",))
    assert steps(trial, "run", 3)["lab1"][2].target == "1.1/startup/db/serve"
    assert steps(trial, "run", 3)["lab1"][0].step == "1.3/run/db/load"


def test_what_is_to_be_stopped_has_to_be_spawned_on_the_same_node() -> None:
    """Which nodes these are is known only when the roles have theirs."""
    text = (
        '[trial]\nname = "t"\n[matrix]\nx = "lab[1-2]"\n[nodes]\na = "lab1"\nb = "$x"\n'
        '[startup]\na = { spawn = "s", name = "serve" }\n[run]\nb = { stop = "serve" }\n'
    )
    trial = parse_trial(text, "t.toml")
    check_stops(trial, resolve(trial, cells_of(trial, ["x=lab1"]), None, 0).roles.values())
    with pytest.raises(
        UsageError, match=r"t.toml:11: run/b step b-1 on lab2: no step `serve` is spawned on lab2"
    ):
        check_stops(trial, resolve(trial, cells_of(trial), None, 0).roles.values())


def test_phases_of_the_trial_can_be_selected() -> None:
    """They may have other names than usual."""
    assert select_phases(["load"], ("prepare", "load", "reset")) == ("load", "reset")
    with pytest.raises(UsageError, match="no phase `run`"):
        select_phases(["run"], ("prepare", "load", "reset"))

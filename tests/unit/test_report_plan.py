"""A plan as text and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from click.testing import CliRunner

from fabric.cli.run import main
from fabric.controller.plan import RunPlan, make_plan
from fabric.report.plan_json import plan_json
from fabric.report.plan_text import plan_text
from fabric.trial.cells import cells_of
from fabric.trial.load import parse_trial
from fabric.trial.resolve import resolve

TRIAL = """
[trial]
name = "streams"
repeat = 2
warmup = 1
distinct = ["a", "b"]
[matrix]
a = "lab[1-2]"
b = "lab[1-2]"
n = [1, 8]
[env]
WHO = "$my_name/$n"
[nodes]
server = "$a"
client = "$b"
load = "gen[1-3]"
[[startup.server]]
spawn = "serve $me"
ready.port = 5201
env = { NAME = 'say "$WHO" $repeat', me = "x" }
dir = "/tmp/$my_index"
[[run.client]]
cmd = "ask $server -n $n"
timeout = "40s"
retries = 1
[[run.load]]
cmd = "load $my_index of $load_all"
at = "2s"
spread = "3s"
[[run.load]]
cmd = ["true", "$me"]
stdin = "é"
[[run.server]]
stop = "server-1"
[[run.load]]
wait = "2s"
[[collect.load]]
fetch = ["$WHO.log", "x"]
[reset]
load = '''
echo one
echo $me'''
"""

EXPECTED = """\
streams  t.toml  4 cells, each 2 repeats + 1 warm-up: 12 in all, interleaved
phases  startup, run, collect, reset
matrix
  a  lab1 lab2
  b  lab1 lab2
  n  1 8
roles
  server  $a
  client  $b
  load    gen[1-3]
addresses are not known without a broker: names stand for them
environment
  PYTHONUNBUFFERED  1
  load              gen1
  load_all          gen1 gen2 gen3
  WHO               $my_name/$n
  of each cell: server, server_all, client, client_all, a, b, n
  of each node: me, my_name, my_role, my_index; of each repeat: repeat

cell 1  a=lab1  b=lab2  n=1
  startup
    server/server-1  lab1  spawned until collect
      serve x
      in /tmp/0
      with NAME=say "lab1/1" $repeat
      with me=x
      ready when port 5201 listens, within 30 s
  run
    client/client-1  lab2  timeout 40 s  2 attempts
      ask lab1 -n 1
    load/load-1  gen[1-3]  at 2 s, spread over 3 s
      gen1  load 0 of gen1 gen2 gen3
      gen2  load 1 of gen1 gen2 gen3
      gen3  load 2 of gen1 gen2 gen3
    load/load-2  gen[1-3]
      true '$me'
      input 'é'
    load/load-3  gen[1-3]
      wait 2 s
    server/server-1  lab1
      stop server-1
  collect
    load/load-1  gen[1-3]
      gen1  fetch gen1/1.log x
      gen2  fetch gen2/1.log x
      gen3  fetch gen3/1.log x
  reset
    load/load-1  gen[1-3]
      gen1  echo one
            echo gen1
      gen2  echo one
            echo gen2
      gen3  echo one
            echo gen3
"""


def plan(text: str = TRIAL, *only: str) -> RunPlan:
    trial = parse_trial(text, "t.toml")
    cells = cells_of(trial, only)
    found = resolve(trial, cells, None, 7)
    return make_plan(trial, cells, found, {}, phases=trial.phases, repeats=trial.repeat, seed=7)


def test_a_plan_is_read_before_it_is_run() -> None:
    """Every command on every node as the shell will see it; what is the same for nodes is told once."""
    lines = [*plan_text(plan(), knows_addresses=False)]
    assert "\n".join(lines[: lines.index("cell 2  a=lab1  b=lab2  n=8") - 1]) + "\n" == EXPECTED
    assert "      ask lab2 -n 8" in lines


def test_cells_that_do_the_same_are_told_once() -> None:
    """A thousand cells that differ in one variable need not be a thousand pages."""
    text = (
        '[trial]\nname = "t"\n[matrix]\na = [1, 2, 3, 4]\nb = ["x", "y"]\n[nodes]\nc = "lab1"\n'
        '[run]\nc = "echo $b"\n'
    )
    lines = [*plan_text(plan(text), knows_addresses=True)]
    assert [line for line in lines if line.startswith("cell")] == ["cells 1,3,5,7  b=x", "cells 2,4,6,8  b=y"]
    assert [line for line in lines if line.startswith("cell")] == [
        line for line in plan_text(plan(text, "a=1,2,3,4"), knows_addresses=True) if line.startswith("cell")
    ]


def test_a_trial_without_a_matrix_has_no_cells() -> None:
    """Most trials: the plan begins with their first phase."""
    text = '[trial]\nname = "t"\ncycle = ["run"]\n[nodes]\nc = "lab1"\n[run]\nc = "true"\n'
    assert [*plan_text(plan(text), knows_addresses=True)] == [
        "t  t.toml  1 repeat",
        "phases  startup, run, collect, reset (anew in each repeat: run)",
        "roles",
        "  c  lab1",
        "addresses",
        "  lab1  lab1",
        "environment",
        "  PYTHONUNBUFFERED  1",
        "  c                 lab1",
        "  c_all             lab1",
        "  of each node: me, my_name, my_role, my_index; of each repeat: repeat",
        "",
        "  run",
        "    c/c-1  lab1",
        "      true",
    ]


def test_a_choice_by_chance_is_said_to_be_one() -> None:
    """The nodes of a plan are not those of the run, if each draws a seed of its own."""
    text = '[trial]\nname = "t"\n[nodes]\nc = "1 of lab[1-9]"\n[run]\nc = "true"\n'
    assert "may pick otherwise" in "\n".join(plan_text(plan(text), knows_addresses=False))
    with_seed = text.replace('name = "t"', 'name = "t"\nseed = 7')
    assert "seed    7" in [*plan_text(plan(with_seed), knows_addresses=False)]


def _steps(one: RunPlan) -> Iterator[dict[str, Any]]:
    """Yield all steps as the controller makes them, as plain values."""
    for repeat in one.repeats:
        if repeat.number == 1:
            for phase in one.phases:
                for node, steps in one.steps(repeat, phase).items():
                    for step in steps:
                        found = json.loads(json.dumps(asdict(step), default=bytes.decode))
                        found["env"].pop("repeat")
                        yield {"cell": repeat.cell.number, "node": node, "id": step.step, **found}


def test_the_json_is_what_the_nodes_get() -> None:
    """It is made in another way, for speed: each step is held against the one that is sent."""
    one = plan(TRIAL.replace(" $repeat'", "'"))
    document = json.loads("".join(plan_json(one)))
    assert document["plan"]["trial"]["name"] == "streams"
    shown = {(step["cell"], step["node"], step["phase"], step["step"]): step for step in document["steps"]}
    made = list(_steps(one))
    assert len(made) == len(shown) == len(document["steps"])
    for step in made:
        _, phase, _, label = step.pop("id").split("/")
        own = shown[step["cell"], step["node"], phase, label]
        assert {name: own[name] for name in step if name in own and name not in ("step", "ready")} == {
            name: value for name, value in step.items() if name in own and name not in ("step", "ready")
        }
        missing = {name: value for name, value in step.items() if name not in own}
        usual = ({}, [], "", None, 1, 0.0, False, "error", "keep")
        assert all(value in usual for name, value in missing.items() if name != "target")
    first = document["steps"][0]
    assert (first["until"], first["ready"]) == ("collect", {"port": 5201})
    assert shown[1, "lab1", "run", "server-1"]["stop"] == "server-1"
    assert [shown[1, f"gen{at}", "run", "load-1"]["at_s"] for at in (1, 2, 3)] == [2.0, 3.0, 4.0]


def test_the_command_shows_a_plan_without_a_broker(tmp_path: Any) -> None:
    """Nothing is started, and nothing has to be there but the file."""
    file = tmp_path / "t.toml"
    file.write_text(TRIAL)
    words = [
        str(file),
        "--plan",
        "--only",
        "n=8",
        "--set",
        "a=lab1",
        "--set",
        "n=8,16",
        "--nodes",
        "load=gen7",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0
    assert "\ncell 1  a=lab1  b=lab2  n=8\n" in done.stdout
    assert "\n    load/load-1  gen7  at 2 s" in done.stdout
    done = CliRunner().invoke(main, [*words, "--json", "--phases", "run"])
    assert {step["phase"] for step in json.loads(done.stdout)["steps"]} == {"run", "reset"}


def test_a_plan_for_this_machine_has_the_nodes_that_would_be_made(tmp_path: Any) -> None:
    """Labels need a broker, which `--local` brings along."""
    file = tmp_path / "t.toml"
    file.write_text(TRIAL.replace('load = "gen[1-3]"', 'load = "2 of @load"'))
    done = CliRunner().invoke(main, [str(file), "--plan", "--local", "--json"])
    steps = json.loads(done.stdout)["steps"]
    assert {step["node"] for step in steps if step["role"] == "load"} == {"load-1", "load-2"}
    assert {step["env"]["load_all"] for step in steps} == {"127.0.0.1 127.0.0.1"}


def test_limits_are_told_with_their_units() -> None:
    """`memory 209715200` is read wrong by a factor of ten."""
    limits = 'limits = { memory = "200 MB", cpu = "5s", files = 64, core = "0 B" }'
    body = f'[trial]\nname = "t"\n[nodes]\na = "x"\n[[run.a]]\ncmd = "true"\n{limits}\n'
    lines = [*plan_text(plan(body), knows_addresses=False)]
    assert "    a/a-1  x  limits memory 200 MB, files 64, cpu 5 s, core 0 B" in lines


def test_json_belongs_to_a_plan(tmp_path: Any) -> None:
    """A run is shown as JSON in another way, and would begin."""
    done = CliRunner().invoke(main, [str(tmp_path / "t.toml"), "--json"])
    assert (done.exit_code, "--ui jsonl" in done.stderr) == (2, True)

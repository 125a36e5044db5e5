"""fabric-tail, fabric nodes and fabric runs as their users start them, against a broker on real sockets."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fabric.protocol.messages import NodeInfo
from fabric.protocol.records import PhaseFinished, PhaseStarted, RunStarted
from tests.integration.operator.conftest import make_output

BIN = Path(sys.executable).parent
RUN = "20260301-102207-ping-k3f9"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a command; none is left when the test is over."""
    running: list[subprocess.Popen[str]] = []

    def begin(*command: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [BIN / command[0], *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Unbuffered, Python takes a short write into a closing pipe for a whole one (seen with 3.11).
            env=os.environ | {"PYTHONUNBUFFERED": ""} | variables,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_the_stored_part_of_a_run_is_shown_and_the_command_ends(operator: Any, start: Start) -> None:
    """It works on an open run too: without --follow nobody waits."""
    operator.append(RunStarted(t_ns=1_000_000_000, bound_ns=0, name="ping", nodes=("lab1",)), node="")
    operator.say("hello\n", "wor")
    assert ended(start("fabric-tail")) == (
        0,
        "[  0.000] run of ping on lab1\n[  0.000] lab1 left/ping │ hello\n[  0.000] lab1 left/ping │ wor\n",
        "",
    )


def test_a_run_is_followed_to_its_verdict_line_by_line(operator: Any, start: Start) -> None:
    """Each line is out as soon as it is there, also into a pipe; the end of the run ends the command."""
    operator.say("first\n")
    tail = start("fabric-tail", RUN[:20], "--follow")
    assert read_line(tail).endswith("│ first")
    operator.say("second\n")
    assert read_line(tail).endswith("│ second")
    operator.stop()
    operator.start()
    operator.say("third\n")
    assert read_line(tail).endswith("│ third")
    operator.end()
    code, out, err = ended(tail)
    assert (code, out) == (0, "[  1.000] verdict pass\n")
    assert "go on with" not in err


def test_who_leaves_is_told_how_to_go_on_and_that_works(operator: Any, start: Start) -> None:
    """The number is that of the first record that was not shown."""
    operator.say("a\n", "b\n")
    tail = start("fabric", "tail", "-f")
    assert read_line(tail).endswith("│ a")
    assert read_line(tail).endswith("│ b")
    tail.send_signal(signal.SIGINT)
    code, _, err = ended(tail)
    assert (code, err) == (130, f"go on with: fabric-tail {RUN} -f --from @3\n")
    operator.say("c\n")
    code, out, _ = ended(start("fabric-tail", RUN, "--from", "@3"))
    assert (code, out) == (0, "[  0.000] lab1 left/ping │ c\n")


def test_a_broker_that_stays_away_ends_the_tail_where_it_was(operator: Any, start: Start) -> None:
    """In a script nobody presses Ctrl-C; what was read is shown, also the line without an end."""
    operator.say("a\n", "half")
    tail = start("fabric-tail", "-f", "--patience", "0.5")
    assert read_line(tail).endswith("│ a")
    operator.deaf = True
    code, out, err = ended(tail)
    assert code == 3
    assert out == "[  0.000] lab1 left/ping │ half…\n"
    assert f"go on with: fabric-tail {RUN} -f --from @3\n" in err
    assert f"error: no answer from the broker at {operator.access.url}" in err


def test_now_begins_behind_what_is_stored(operator: Any, start: Start) -> None:
    """Who looks in on a long run does not want its whole past."""
    operator.say("old\n")
    assert ended(start("fabric-tail", "--from", "now"))[:2] == (0, "")


def test_lines_are_put_in_order_folded_and_searched(operator: Any, start: Start) -> None:
    """lab2 reports first what happened last; a run that is read to its end is shown in order."""
    operator.append(make_output(4, 0, 3_000_000_000), node="lab2", payload=b"two\n")
    operator.append(make_output(4, 0, 2_000_000_000), node="lab1", payload=b"one\n")
    operator.append(make_output(4, 4, 4_000_000_000), node="lab1", payload=b"two\n")
    code, out, _ = ended(start("fabric-tail", "--merge"))
    assert (code, [line.split("│ ")[1] for line in out.splitlines()]) == (0, ["one", "two", "two"])
    code, out, _ = ended(start("fabric-tail", "--fold", "--grep", "tw"))
    assert (code, out) == (0, "[  0.000] lab[1-2]  (2 nodes) left/ping │ two\n")
    code, out, _ = ended(start("fabric-tail", "--grep", "tw", "--invert", "--clock", "wall"))
    assert [line.split("] ")[1] for line in out.splitlines()] == ["lab1 left/ping │ one"]


def test_a_phase_has_begun_though_its_record_is_not_wanted(operator: Any, start: Start) -> None:
    """Who looks at one node still wants to know how long after the go."""
    t0_ns = 900_000_000
    go = PhaseStarted(t_ns=t0_ns, bound_ns=0, phase="1/run", go=1, t0_ns=t0_ns, lead_ns=1, confirm_ns=1)
    operator.append(go, node="")
    operator.say("hello\n")
    code, out, _ = ended(start("fabric-tail", "--node", "lab1", "--clock", "phase"))
    assert (code, out) == (0, "[1/run  +0.100] lab1 left/ping │ hello\n")


def test_what_was_wanted_in_vain_is_said(operator: Any, start: Start) -> None:
    """A typing error in a name must not look like a run that said nothing."""
    operator.say("hello\n")
    operator.end()
    for options, said in (
        (("--node", "nolab"), "no node 'nolab' in what was read; nodes: lab[1-2]\n"),
        (("--step", "nostep", "--node", "lab1"), "no step 'nostep' in what was read; steps: ping\n"),
        (("--role", "norole"), "no role 'norole' in what was read; roles: left\n"),
        (("--from", "@3"), "nothing is there to read\n"),
        (("-q", "--node", "nolab"), ""),
    ):
        assert ended(start("fabric-tail", *options)) == (0, "", said)
    code, out, err = ended(start("fabric-tail", "-f", "--from", "@190"))
    assert (code, out, err) == (2, "", f"error: --from @190: the last record of {RUN} is @2\n")
    for value, said in (
        ("x", "'x' is not run, now,"),
        ("100000m", "'100000m' is longer than the limit of 7 days"),
    ):
        assert said in ended(start("fabric-tail", "--from", value))[2]


def test_a_part_of_the_past_is_shown(operator: Any, start: Start) -> None:
    """Of a run that is over, the last moments before its end."""
    operator.append(make_output(4, 0, 1_000_000_000), payload=b"old\n")
    operator.append(make_output(4, 4, 2_500_000_000), payload=b"new\n")
    operator.is_open = False
    assert ended(start("fabric-tail", "--from", "1s"))[1] == "[  1.500] lab1 left/ping │ new\n"


def test_what_is_missing_is_shown(operator: Any, start: Start) -> None:
    """A gap must not look like a line that ends there."""
    operator.append(make_output(4, 0), payload=b"half")
    operator.append(make_output(4, 9), payload=b"end\n")
    for options in ((), ("--merge",)):
        out = ended(start("fabric-tail", *options))[1]
        assert [line.split("left/ping ")[1] for line in out.splitlines()] == [
            "│ half…",
            "5 B of stdout not kept, from byte 4 on: they never came",
            "│ …end",
        ]


def test_wishes_that_do_not_fit_are_refused(start: Start) -> None:
    """Rather than to have no effect."""
    for wrong, said in (
        (("--json", "--fold"), "--json has every field"),
        (("--invert",), "add --grep REGEX"),
        (("--grep", "("), "is no regular expression"),
        (("--from", "start"), "is not run, now, a duration such as 5m"),
    ):
        code, out, err = ended(start("fabric-tail", *wrong))
        assert (code, out) == (2, "")
        assert said in err


def test_json_lines_are_those_of_the_bundle_and_can_be_narrowed(operator: Any, start: Start) -> None:
    """For scripts: only what they want, with the number to go on from."""
    operator.say("x\n", node="lab1")
    operator.append(PhaseFinished(t_ns=1_000_000_000, bound_ns=0, phase="1/run", failed=False), node="lab2")
    operator.say("y\n", node="lab2")
    code, out, _ = ended(start("fabric-tail", "--json", "--node", "lab2", "--step", "ping"))
    (event,) = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert (event["type"], event["node"], event["text"], event["number"]) == ("output", "lab2", "y\n", 3)


def test_a_closed_pipe_is_no_error(operator: Any, start: Start) -> None:
    """`fabric-tail | head` is a usual thing to type."""
    operator.say(*(f"{number}\n" for number in range(5000)))
    tail = start("fabric-tail")
    assert tail.stdout is not None
    tail.stdout.readline()
    tail.stdout.close()
    tail.stdout = None
    assert ended(tail)[::2] == (141, "")


@pytest.mark.usefixtures("operator")
def test_a_run_that_is_not_there_is_said_in_one_line(start: Start) -> None:
    """No traceback for a typing error, and a way out."""
    code, out, err = ended(start("fabric-tail", "nothing"))
    assert (code, out) == (2, "")
    assert err == "error: no run is called nothing\nhint: `fabric runs` lists them\n"


def test_without_a_key_the_user_is_told_where_to_get_one(start: Start, tmp_path: Path) -> None:
    """The first thing that goes wrong on a second machine."""
    code, out, err = ended(
        start("fabric", "nodes", XDG_CONFIG_HOME=str(tmp_path), FABRIC_BROKER="tcp://lab:7400")
    )
    assert (code, out) == (3, "")
    assert "tcp://lab:7400" in err
    assert "\nhint: " in err
    assert "Traceback" not in err


def test_verbose_shows_where_an_error_came_from(start: Start, tmp_path: Path) -> None:
    """For who has to find the fault in the fabric itself."""
    code, _, err = ended(start("fabric", "nodes", "-v", XDG_CONFIG_HOME=str(tmp_path)))
    assert code == 3
    assert "Traceback" in err


def node(name: str, **changes: Any) -> NodeInfo:
    fields: dict[str, Any] = {
        "name": name, "state": "free", "incarnation": 1, "labels": (), "addresses": {"": "10.0.0.5"},
        "facts": {}, "run": "", "heard_ns": 0,
    }  # fmt: skip
    return NodeInfo(**(fields | changes))


def test_nodes_are_listed_for_people_and_for_programs(operator: Any, start: Start) -> None:
    """Who is there and what it does; the columns can be cut, the JSON is whole."""
    operator.nodes = (
        node("lab2", state="busy", run=RUN, labels=("etcd", "load"), facts={"kernel": "6.8\x1b[2J"}),
        node("lab1", addresses={"": "10.0.0.5", "test": "10.1.0.5"}),
    )
    code, out, _ = ended(start("fabric", "nodes"))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["NODE", "STATE", "RUN", "OPERATOR", "SINCE", "HEARD", "LABELS", "ADDRESS", "NOTE"]
    nothing = ["-", "-", "-"]
    assert lines[1] == ["lab1", "free", *nothing, "never", "-", "10.0.0.5", "test=10.1.0.5", "-"]
    assert lines[2] == ["lab2", "busy", RUN, "-", "-", "never", "etcd,load", "10.0.0.5", "-"]
    code, out, _ = ended(start("fabric", "nodes", "lab2"))
    assert dict(line.split(maxsplit=1) for line in out.splitlines())["kernel"] == r"6.8\x1b[2J"
    code, out, _ = ended(start("fabric", "nodes", "--json"))
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["lab1", "lab2"]


def test_more_nodes_than_one_answer_holds_are_listed(operator: Any, start: Start) -> None:
    """Two thousand of them are over the size of a frame, so they come in pages."""
    operator.nodes = tuple(node(f"n{number:04}", facts={"k": "x" * 400}) for number in range(2000))
    code, out, err = ended(start("fabric", "nodes", "--json"))
    assert (code, err) == (0, "")
    assert [json.loads(line)["name"] for line in out.splitlines()] == [info.name for info in operator.nodes]


def test_a_node_that_never_was_is_said_to_be_none(operator: Any, start: Start) -> None:
    """A typing error must not look like an empty lab."""
    operator.nodes = (node("lab1"),)
    code, out, err = ended(start("fabric", "nodes", "lab7"))
    assert (code, out) == (2, "")
    assert err == "error: no node 'lab7' has ever been here\nhint: `fabric nodes` lists them\n"


def test_what_changes_is_told_while_one_watches(operator: Any, start: Start) -> None:
    """Into a pipe, each change is one line; who has a terminal gets a screen."""
    operator.nodes = (node("lab1"),)
    watching = start("fabric", "nodes", "--watch")
    assert read_line(watching).split()[1:3] == ["lab1", "free"]
    operator.nodes = (node("lab1", state="drained", drained_by="ann", drained_why="new disk"),)
    line = read_line(watching)
    assert line.split()[1:3] == ["lab1", "drained"]
    assert line.endswith("drained by ann: new disk")
    watching.send_signal(signal.SIGINT)
    assert ended(watching)[0] == 130


def test_runs_are_listed(operator: Any, start: Start, older_run: Any) -> None:
    """The id to copy stands first; programs get instants as they can read them."""
    operator.older_runs = (older_run,)
    operator.say("x")
    code, out, _ = ended(start("fabric", "runs"))
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert [line[:3] for line in lines[1:]] == [[RUN, "ping", "open"], [older_run.run, "ping", "fail"]]
    assert lines[1][-1] == "lab[1-2]"
    code, out, _ = ended(start("fabric", "runs", "--json"))
    newest = json.loads(out.splitlines()[0])
    assert (newest["last"], newest["opened"], newest["closed"]) == (1, "1970-01-01T00:00:01.000Z", None)

"""Commands on a lab: a real broker and real agents, as an operator uses them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric.config import parse_url
from fabric.controller.connection import Connection
from fabric.controller.local import LocalFabric
from fabric.controller.lookup import list_nodes, list_runs
from fabric.keys import OperatorAccess, operator_access_path

BIN = Path(sys.executable).parent
NODES = ("lab1", "lab2", "lab3")
WITHIN_NS = 60_000_000_000
STORED = 160
"""Records of up to 128 KiB."""


class Lab:
    def __init__(self, access: OperatorAccess, config: Path) -> None:
        self.access = access
        self.environment = os.environ | {"XDG_CONFIG_HOME": str(config), "FABRIC_BROKER": access.url}

    def type(self, *words: str) -> tuple[int, list[str], list[str]]:
        done = subprocess.run(
            [BIN / words[0], *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            timeout=60,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all of these tests: its start costs more than any of them."""
    config = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch, LocalFabric() as fabric:
        patch.setenv("XDG_CONFIG_HOME", str(config))
        access = fabric.start({name: ("odd",) if name != "lab2" else () for name in NODES})
        access.save(operator_access_path(parse_url(access.url)))
        connection = Connection(access, program="test")
        connection.wait_up()
        until_ns = connection.now_ns() + WITHIN_NS
        while sum(node.state == "free" for node in list_nodes(connection)) < len(NODES):
            assert connection.now_ns() < until_ns, fabric.dead()
            connection.turn(connection.now_ns() + 50_000_000)
        connection.close()
        yield Lab(access, config)


def test_a_command_is_executed_on_all_nodes(lab: Lab) -> None:
    """What each node prints stands behind its name, on the stream that it was written to."""
    code, out, err = lab.type("fabric", "exec", "lab[1-3]", "--", "echo hello; echo no >&2; exit 0")
    assert code == 0
    assert sorted(out) == ["lab1: hello", "lab2: hello", "lab3: hello"]
    assert sorted(err)[:3] == ["lab1: no", "lab2: no", "lab3: no"]
    assert err[-1].startswith("lab[1-3]: exit 0")


def test_a_failure_is_told_by_node(lab: Lab) -> None:
    """Who fails is named with the code; the others are in one line. Options behind -- are the command's."""
    line = 'test "${PWD#*agent-lab2}" = "$PWD" || exit 3'
    code, out, err = lab.type("fabric", "exec", "lab[1-3]", "--", "sh", "-c", line)
    assert (code, out) == (1, [])
    assert [one.rpartition(",")[0] for one in err] == ["lab1,lab3: exit 0", "lab2: exit 3"]
    code, _, err = lab.type("fabric", "exec", "lab1", "--", "/no/such/program")
    assert code == 1
    assert err[0] == "lab1: no result"
    assert err[1].startswith("fail: lab1: ")
    assert "/no/such/program" in err[1]


def test_what_all_say_is_shown_once(lab: Lab) -> None:
    """A hundred equal lines are one; scripts get events."""
    code, out, _ = lab.type("fabric", "exec", "--fold", "lab[1-3]", "echo", "same")
    assert (code, out) == (0, ["lab[1-3]  (3 nodes): same"])
    code, out, _ = lab.type("fabric", "exec", "--fold", "all of @odd", "echo", "odd")
    assert (code, out) == (0, ["lab1,lab3  (2 nodes): odd"])
    code, out, _ = lab.type("fabric", "exec", "--json", "lab1", "echo", "x")
    assert {json.loads(line)["type"] for line in out} >= {"output", "step_finished", "run_ended"}


def test_free_nodes_of_a_range_are_picked(lab: Lab) -> None:
    """Also where the range names more than there are; an error names the spec, and no role."""
    code, out, _ = lab.type("fabric", "exec", "3 of lab[1-9]", "--", "echo", "here")
    assert (code, sorted(out)) == (0, ["lab1: here", "lab2: here", "lab3: here"])
    code, _, err = lab.type("fabric", "exec", "4 of lab[1-9]", "--", "true")
    assert (code, err[0].partition(";")[0]) == (3, "error: 4 of lab[1-9]: only 3 free nodes fit: lab[1-3]")


def test_a_command_knows_on_which_node_it_is(lab: Lab) -> None:
    """What was tried by hand goes into a trial as it stands: with the same variables."""
    line = 'echo "$my_name $my_index $my_role $repeat"; test -n "$me"'
    code, out, _ = lab.type("fabric", "exec", "lab[1-3]", line)
    assert code == 0
    assert sorted(out) == ["lab1: lab1 0 node 1", "lab2: lab2 1 node 1", "lab3: lab3 2 node 1"]


def test_a_command_leaves_a_bundle_and_says_where(lab: Lab, tmp_path: Path) -> None:
    """A directory that is named by date and chance is not found by guessing."""
    code, _, err = lab.type("fabric", "exec", "-o", str(tmp_path), "lab1", "true")
    assert (code, err[-1]) == (0, f"bundle: {(tmp_path / 'latest').resolve()}")


def test_several_nodes_are_shown(lab: Lab) -> None:
    """As they are drained: by ranges; and as a trial finds them, by labels."""
    code, out, _ = lab.type("fabric", "nodes", "lab[1-2]")
    assert (code, [line.split()[0] for line in out[1:]]) == (0, ["lab1", "lab2"])
    assert [line.split()[0] for line in lab.type("fabric", "nodes", "@odd")[1][1:]] == ["lab1", "lab3"]
    code, _, err = lab.type("fabric", "nodes", "lab[3-4]")
    assert (code, err[0]) == (2, "error: no node 'lab4' has ever been here")
    assert lab.type("fabric", "nodes", "@none")[0] == 2


def test_a_command_that_takes_too_long_is_ended(lab: Lab) -> None:
    """And a wrong word about time is told before anything is started."""
    code, _, err = lab.type("fabric", "exec", "lab1", "--timeout", "300ms", "--", "sleep", "60")
    assert code == 1
    assert err[-1].startswith("lab1: not done within 0.3 s")
    code, _, err = lab.type("fabric", "exec", "lab1", "--timeout", "3", "--", "true")
    assert code == 2
    assert "needs a duration with its unit, such as 30s" in err[-2]


def test_a_drained_node_is_kept_from_runs_and_says_why(lab: Lab) -> None:
    """Who wants it learns whom to ask; afterwards it can be had again."""
    assert lab.type("fabric", "nodes", "drain", "lab[2-3]", "--why", "new disk") == (0, [], [])
    code, out, _ = lab.type("fabric", "nodes")
    assert [line.split()[1] for line in out[1:]] == ["free", "drained", "drained"]
    code, out, err = lab.type("fabric", "exec", "lab[1-2]", "true")
    assert (code, out) == (3, [])
    assert err[0].startswith("error: lab2 is drained by ")
    assert err[0].endswith(": new disk")
    assert lab.type("fabric", "nodes", "undrain", "lab2", "lab3")[0] == 0
    assert lab.type("fabric", "exec", "-q", "lab[1-2]", "true") == (0, [], [])
    code, _, err = lab.type("fabric", "nodes", "drain", "lab9")
    assert code == 2
    assert "no node lab9 has ever been here; nodes: lab1, lab2, lab3" in err[0]


def test_labels_are_given_and_taken_away(lab: Lab) -> None:
    """Beside those of the agent; a word that looks like an option is none here."""
    assert lab.type("fabric", "nodes", "label", "lab1", "+gpu", "+vip")[0] == 0
    assert lab.type("fabric", "nodes", "label", "lab1", "-vip", "+fast")[0] == 0
    code, out, _ = lab.type("fabric", "nodes", "lab1", "--json")
    node = json.loads(out[0])
    assert (code, node["labels"], node["given_labels"]) == (0, ["odd", "gpu", "fast"], ["gpu", "fast"])
    code, _, err = lab.type("fabric", "nodes", "label", "lab1", "gpu")
    assert (code, err[0]) == (2, "error: 'gpu' is no change of a label")


def test_a_run_is_shown_written_out_and_removed(lab: Lab, tmp_path: Path) -> None:
    """All from the store: the controller is gone."""
    lab.type("fabric", "exec", "lab[1-2]", "--", "echo kept; exit 4")
    code, out, _ = lab.type("fabric", "runs", "latest")
    shown = dict(line.split(maxsplit=1) for line in out if line)
    run = shown["run"]
    assert (code, shown["trial"], shown["verdict"], shown["nodes"]) == (0, "exec", "fail", "lab[1-2]")
    assert sum("exit 4" in line for line in out) >= 2
    known = json.loads(lab.type("fabric", "runs", "show", run, "--json")[1][0])
    assert known["counts"] == {"phases": 1, "steps": 2, "failed": 2}
    assert lab.type("fabric", "runs", "bundle", run, "-o", str(tmp_path)) == (
        0, [f"bundle: {tmp_path / run}"], [],
    )  # fmt: skip
    assert (tmp_path / run / "out/1/run/lab2/command.stdout").read_text() == "kept\n"
    assert json.loads((tmp_path / run / "result.json").read_text())["verdict"] == "fail"
    subprocess.run(["sha256sum", "-c", "--quiet", "MANIFEST.sha256"], cwd=tmp_path / run, check=True)
    code, _, err = lab.type("fabric", "runs", "rm", run)
    assert (code, err[0]) == (2, "error: nobody is there to be asked")
    assert lab.type("fabric", "runs", "rm", "--yes", run) == (0, [f"removed {run}"], [])
    assert lab.type("fabric-tail", run)[2][0] == f"error: no run is called {run}"


def test_an_open_run_has_a_bundle_and_cannot_be_removed(lab: Lab, tmp_path: Path) -> None:
    """Its controller may have died; what is there by now is what one can have."""
    running = subprocess.Popen(
        [BIN / "fabric", "exec", "lab3", "--", "echo begun; exec sleep 60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=lab.environment,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "lab3: begun\n"
    code, _, err = lab.type("fabric", "exec", "lab[2-3]", "true")
    assert code == 3
    assert err[0].startswith("error: lab3 is in use by run ")
    code, out, err = lab.type("fabric", "runs", "bundle", "-o", str(tmp_path), "--json")
    assert err == []
    found = json.loads(out[0])
    assert (code, found["state"]) == (0, "open")
    result = json.loads((Path(found["bundle"]) / "result.json").read_text())
    assert result["verdict"] == "error"
    assert result["why"][0].startswith("the run was open when record ")
    assert [(phase["phase"], phase["ended"]) for phase in result["phases"]] == [("run", None)]
    assert [(step["node"], step["state"]) for step in result["steps"]] == [("lab3", "unknown")]
    assert (Path(found["bundle"]) / "out/1/run/lab3/command.stdout").read_text() == "begun\n"
    code, _, err = lab.type("fabric", "runs", "rm", "--yes", "latest")
    assert (code, err[0].partition(" is open")[0]) == (2, f"error: {found['run']}")
    running.send_signal(2)
    assert running.wait(30) == 130


def test_an_interrupted_command_ends_though_nobody_reads_its_output(lab: Lab) -> None:
    """A gigabyte that stands before a slow terminal is nobody's wish after Ctrl-C; it is stored."""
    running = subprocess.Popen(
        [
            BIN / "fabric",
            "exec",
            "lab3",
            "--",
            "echo begun; exec yes 0123456789012345678901234",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=lab.environment,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == b"lab3: begun\n"
    connection = Connection(lab.access, program="test")
    connection.wait_up()
    while list_runs(connection)[0].last < STORED:  # far more than all that may wait to be read
        connection.turn(connection.now_ns() + 50_000_000)
    connection.close()
    running.send_signal(2)
    assert running.wait(20) == 130
    said = running.stderr.read().decode()
    assert re.search("^lab3: ended by the fabric: .*SIGTERM", said)
    found = re.search(
        "([0-9.]+ [MG]B) of output were not shown; all of it is stored: fabric-tail (.*)\n", said
    )
    assert found is not None
    assert lab.type("fabric", "runs", "--json", found[2])[0] == 0
    running.stdout.close()
    running.stderr.close()
    assert lab.type("fabric", "exec", "-q", "lab3", "true")[0] == 0


def test_a_tail_goes_from_one_run_to_the_next(lab: Lab) -> None:
    """Who watches a lab does not want to type for each run."""
    tail = subprocess.Popen(
        [BIN / "fabric-tail", "--follow-runs", "--from", "now", "--grep", "round"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=lab.environment,
    )
    assert tail.stdout is not None
    assert tail.stdout.readline().startswith("--- ")
    found = []
    for number in (1, 2):
        lab.type("fabric", "exec", "lab1", "echo", f"round {number}")
        found += [tail.stdout.readline(), tail.stdout.readline()]
    tail.send_signal(2)
    tail.communicate(timeout=30)
    assert [line.startswith("--- ") for line in found] == [True, False, True, False]
    assert [line.split("│ ")[1] for line in found[1::2]] == ["round 1\n", "round 2\n"]


def test_a_trial_finds_its_nodes_by_their_labels(lab: Lab, tmp_path: Path) -> None:
    """In each cell its own; what the lab does not have is said with what it has, and nothing is started."""
    file = tmp_path / "t.toml"
    text = (
        '[trial]\nname = "t"\nseed = 7\ndistinct = ["a", "b"]\n[matrix]\na = "lab[1-3]"\nb = "lab[1-3]"\n'
        '[nodes]\none = "$a"\nother = "$b"\nany = "1 of @odd"\n[run]\none = "echo $a-$b $my_name"\n'
    )
    file.write_text(text)
    words = (
        "fabric-run",
        str(file),
        "-o",
        str(tmp_path / "runs"),
        "--only",
        "a=lab1,lab3",
        "--only",
        "b=lab2",
    )
    code, out, _ = lab.type(*words, "--ui", "plain")
    assert code == 0
    said = [line.partition("│ ")[2] for line in out if "│" in line]
    assert said == ["lab1-lab2 lab1", "lab3-lab2 lab3"]
    code, out, _ = lab.type("fabric-run", "--plan", str(file))
    assert next(line for line in out if line.startswith("  any ")).endswith(("lab1", "lab3"))
    assert "addresses" in out
    file.write_text(text.replace("1 of @odd", "3 of @odd & !lab2"))
    code, out, err = lab.type(*words)
    assert (code, out) == (3, [])
    assert "error: role any: 3 of @odd & !lab2: only 2 free nodes fit: lab1,lab3" in err

"""What a doctor says of facts, of software and of nodes."""

import json
import os
import sys
from pathlib import Path

import pytest

from agents import doctor as agent_doctor
from agents.doctor import arming, cgroup_leaf
from agents.facts import facts
from agents.identity import KNOWN, PENDING
from agents.launcher import trace
from agents.surroundings import disk_free, surroundings
from broker import doctor as broker_doctor
from fabric import __version__
from fabric.cli.findings import tell
from fabric.config import Address
from fabric.doctor import software
from fabric.doctor.findings import Finding, exit_code, lines_of
from fabric.doctor.greeting import Obstacle
from fabric.doctor.judging import DISK_BYTES, DISK_LEAST_BYTES, disk, judge
from fabric.doctor.lab import of_node, version
from fabric.doctor.reaching import OTHER
from fabric.keys import AgentIdentity, KeyPair, broker_keys
from fabric.protocol.messages import NodeInfo
from fabric.store.state import lock

GOOD = {
    "user": "1000",
    "nofile": "1024/1048576",
    "nproc": "unlimited/unlimited",
    "memlock": "67108864/67108864",
    "rtprio": "0/99",
    "disk_free_mib": "50000",
    "ptrace_scope": "1",
    "cgroup": "delegated",
    "kernel_clock": "synchronised, off by 1.2 ms at most",
}
S = 10**9


def node(**values: object) -> NodeInfo:
    plain: dict[str, object] = {
        "name": "lab1",
        "state": "free",
        "facts": GOOD | {"testfabric": __version__},
        "labels": (),
        "addresses": {},
        "heard_ns": 5 * S,
        "incarnation": 1,
        "run": "",
    }
    return NodeInfo(**(plain | values))  # type: ignore[arg-type]


def test_a_good_node_has_nothing_but_good_lines() -> None:
    """And one for each thing: who reads them sees that it was looked at."""
    found = judge(GOOD)
    assert {one.state for one in found} == {"ok"}
    assert len(found) == 8


@pytest.mark.parametrize(
    ("fact", "value", "state"),
    [
        ("nofile", "1024/1024", "warn"),
        ("nproc", "100/100", "warn"),
        ("memlock", "65536/65536", "warn"),
        ("memlock", "8388608/unlimited", "warn"),
        ("rtprio", "0/0", "warn"),
        ("disk_free_mib", "100", "warn"),
        ("disk_free_mib", "10", "bad"),
        ("ptrace_scope", "2", "warn"),
        ("ptrace_scope", "3", "warn"),
        ("ptrace_scope", "-", "ok"),
        ("cgroup", "no cgroup v2", "warn"),
        ("kernel_clock", "not synchronised", "warn"),
    ],
)
def test_what_is_missing_is_one_line_with_a_way_out(fact: str, value: str, state: str) -> None:
    """A doctor that only complains is of no use."""
    (found,) = [one for one in judge(GOOD | {fact: value}) if one.state != "ok"] or [
        one for one in judge({fact: value}) if one.about == "ptrace"
    ]
    assert found.state == state
    assert state == "ok" or found.hint


def test_root_needs_no_limits() -> None:
    """The kernel lets it pass them."""
    found = judge(
        GOOD | {"user": "0", "rtprio": "0/0", "memlock": "0/0", "nproc": "1/1", "ptrace_scope": "2"}
    )
    assert {one.state for one in found} == {"ok"}
    assert [one.found for one in found if one.about == "limit memlock"] == ["0 MiB, which does not bind root"]


def test_facts_of_an_older_agent_are_no_findings() -> None:
    """It does not tell of its disk: that is not a full one."""
    assert judge({"testfabric": "0.0.9", "nofile": "many", "disk_free_mib": ""}) == []


def test_a_disk_is_judged_at_named_limits() -> None:
    """The last byte that is enough, and the first that is not."""
    states = [disk(size, "/x").state for size in (DISK_LEAST_BYTES - 1, DISK_LEAST_BYTES, DISK_BYTES)]
    assert states == ["bad", "warn", "ok"]


def test_this_machine_tells_facts_that_can_be_judged(tmp_path: Path) -> None:
    """The words that the agent says are those that the judge knows."""
    told = facts() | disk_free(tmp_path)
    assert {one.about for one in judge(told)} >= {
        "limit nofile",
        "limit nproc",
        "limit memlock",
        "limit rtprio",
        "disk",
        "ptrace",
        "cgroup",
    }
    assert surroundings(os.getpid()) == surroundings()
    assert disk_free(tmp_path / "none") == {}


def test_a_program_is_really_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scope and rights say what should work; this says what does.  No child is left."""
    assert arming().state == "ok"
    monkeypatch.setattr(trace, "seize", lambda _: "this system refuses to trace it")
    found = arming()
    assert (found.state, found.found) == ("warn", "this system refuses to trace it")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_cgroup_is_tried_and_not_left() -> None:
    """Whether it may be made or not."""
    found = cgroup_leaf()
    assert found.state in ("ok", "warn")
    if found.state == "ok":
        parent = Path(found.found.rpartition(" ")[2])
        assert not list(parent.glob("testfabric-doctor-*"))


@pytest.mark.parametrize("is_running", [True, False])
def test_a_broker_on_other_ports_than_those_that_are_looked_at_is_told_once(
    is_running: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker does not join: what helps is the address at which it listens, or another one."""
    broker_keys(tmp_path)
    monkeypatch.setattr(
        broker_doctor, "look_at_port", lambda _, port, at, *__, **___: Finding("bad", port, f"{at}: {OTHER}")
    )
    held = lock(tmp_path) if is_running else os.open(tmp_path, os.O_RDONLY)
    found = list(broker_doctor.look_at_broker(tmp_path, Address("127.0.0.1", 7400)))
    os.close(held)
    (bad,) = [one for one in found if one.state == "bad" and OTHER in one.found]
    assert "--listen" in bad.hint
    assert "join" not in bad.hint
    assert (f"runs as pid {os.getpid()}" in bad.hint) == is_running
    assert ("broker", "ok" if is_running else "warn") in [(one.about, one.state) for one in found]


def test_a_node_that_has_joined_knows_where_its_broker_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody types the URL of a service that runs; one whose key is not taken yet can be looked at, too."""
    at: list[Address] = []

    def greet(address: Address) -> Obstacle:
        at.append(address)
        return Obstacle("cut", "mend")

    def look(_: object, port: str, address: Address, *__: object, expected: bool) -> Finding:
        at.append(address)
        return Finding("ok", port, f"{expected}")

    monkeypatch.setattr(agent_doctor, "greet", greet)
    monkeypatch.setattr(agent_doctor, "look_at_port", look)
    made = AgentIdentity(
        url="tcp://lab:7400", name="lab1", keys=KeyPair.new(), broker_public=KeyPair.new().public
    )
    made.save(tmp_path / PENDING)
    found = list(agent_doctor.look_at_node(tmp_path, None))
    assert at == [Address("lab", 7400)]
    assert ("port control", "tcp://lab:7400: cut") in [(one.about, one.found) for one in found]
    (tmp_path / PENDING).rename(tmp_path / KNOWN)
    list(agent_doctor.look_at_node(tmp_path, None))
    assert [one.port for one in at[1:]] == [7400, 7401, 7402, 7403]


def test_another_package_of_the_same_name_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fabric, for SSH, is installed on many machines: then the import decides which program runs."""
    clean = software.look_at_software([])
    assert [one.state for one in clean if one.about == "import names"] == ["ok"]
    (tmp_path / "fabric").mkdir()
    (tmp_path / "fabric" / "__init__.py").touch()
    (tmp_path / "agents.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    found = [one for one in software.look_at_software([]) if one.about == "import names"]
    assert [(one.state, one.found) for one in found] == [
        ("warn", f"`fabric` is also in {tmp_path}"),
        ("warn", f"`agents` is also in {tmp_path}"),
    ]


def test_a_package_that_is_too_old_or_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is needed, and the command that gets it."""
    versions = {"pyzmq": "22.1.0", "msgpack": None}
    monkeypatch.setattr(software, "_version", lambda name: versions.get(name, "99.0"))
    (found,) = [one for one in software.look_at_software(software.ON_A_NODE) if one.about == "packages"]
    assert found.state == "bad"
    assert found.found == "pyzmq 22.1.0 (needs 26), msgpack is missing (needs 1.0.8)"


def test_a_node_is_one_line_that_says_the_worst_first() -> None:
    """A lab of hundred nodes has hundred lines."""
    assert of_node(node(), 6 * S).state == "warn", "it does not know the time yet"
    found = of_node(node(facts=GOOD | {"testfabric": "0.0.1", "disk_free_mib": "1"}), 6 * S)
    assert found.state == "bad"
    assert found.found.startswith("disk: 1 MiB free")
    assert "agent: version 0.0.1" in found.found
    assert found.hint.startswith("make room")


def test_a_node_that_is_away_is_bad_unless_somebody_wanted_that() -> None:
    """A drained node that is switched off must not make every look at the lab end with 3."""
    away = of_node(node(state="away"), 125 * S)
    assert (away.state, away.found) == ("bad", "away for 2 min")
    drained = of_node(node(state="away", drained_by="ann", drained_ns=1), 125 * S)
    assert (drained.state, drained.found) == ("warn", "away for 2 min, drained by ann")


def test_another_version_is_told() -> None:
    """It may work, and is the first thing to look at when something does not."""
    assert version("broker", __version__).state == "ok"
    assert version("broker", "0.0.1").state == "warn"


def test_findings_are_lines_or_objects_and_decide_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """For people, for programs, for scripts."""
    found = [Finding("ok", "disk", "much"), Finding("warn", "clock", "a\x1b]0;x", "set it")]
    assert tell(found) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok    disk            much",
        "warn  clock           a\\x1b]0;x",
        "                      -> set it",
    ]
    assert tell([*found, Finding("bad", "key", "none", "join")], as_json=True, quiet=True) == 3
    assert [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()] == ["warn", "bad"]
    assert exit_code([]) == 0
    assert lines_of(found[0]) == ["ok    disk            much"]

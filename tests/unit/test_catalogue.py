"""The catalogue alone: what a broker writes down is what the next one reads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.errors import StoreError
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import AgentHello, InvitationInfo, KeyInfo, NodeInfo, OpenRun
from fabric.protocol.records import (
    MetricMissing,
    Notice,
    PhaseEnded,
    PhaseStarted,
    Record,
    StepFinished,
    StepSkipped,
    StepStarted,
)
from fabric.store.catalogue import Catalogue
from fabric.store.rows import Reservation

RUN = "20250101-120000-hello-a1b2"
OTHER = "20250101-120001-hello-c3d4"


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "catalogue.sqlite") as opened:
        yield opened


def request(run: str = RUN, *nodes: str) -> OpenRun:
    return OpenRun(
        request=1, run=run, name="hello", nodes=nodes, trial="[trial]", plan='{"a": 1}', lease_s=20.0
    )


def hello(
    incarnation: int = 1,
    labels: tuple[str, ...] = (),
    addresses: dict[str, str] | None = None,
    facts: dict[str, str] | None = None,
) -> AgentHello:
    return AgentHello(
        protocol=PROTOCOL_VERSION,
        software="0.1.0",
        name="lab1",
        instance="instance1",
        incarnation=incarnation,
        labels=labels,
        addresses=addresses or {},
        facts=facts or {},
        journals=(),
        runs=(),
    )


def started(step: str, t_ns: int) -> StepStarted:
    return StepStarted(
        t_ns=t_ns, bound_ns=5, step=step, attempt=1, pid=7, event="exec", planned_ns=0, go=1
    )  # fmt: skip


def finished(step: str, t_ns: int) -> StepFinished:
    return StepFinished(
        t_ns=t_ns,
        bound_ns=5,
        step=step,
        attempt=1,
        reason="exited",
        failed=True,
        exit_code=3,
        signal=None,
        message="exited with 3",
        duration_ns=1,
        stdout_bytes=0,
        stderr_bytes=0,
        user_s=0.0,
        system_s=0.0,
        max_rss_kib=0,
        pipe_held=False,
        survivors=(),
    )


def test_every_life_of_a_broker_has_a_higher_epoch(tmp_path: Path) -> None:
    """Clock bounds of one life mean nothing in another: two lives must never look like one."""
    epochs = []
    for _ in range(3):
        with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
            epochs += [catalogue.next_epoch(), catalogue.next_epoch()]
    assert epochs == [1, 2, 3, 4, 5, 6]


def key(public: str, role: Literal["node", "operator", "viewer"] = "node", created_ns: int = 10) -> KeyInfo:
    return KeyInfo(public_key=public * 40, name="lab1", role=role, created_ns=created_ns)


def test_a_name_has_one_lasting_key(catalogue: Catalogue) -> None:
    """The broker sees to that; the catalogue is where two brokers of one mind would show."""
    first, second = key("k"), key("l", created_ns=20)
    catalogue.access.save([first])
    catalogue.access.save([first])
    with pytest.raises(StoreError, match="another has it: node 'lab1'"):
        catalogue.access.save([second])
    assert catalogue.access.all_keys() == (first,)

    catalogue.access.save([replace(first, expires_ns=30), second])
    catalogue.access.save([replace(first, expires_ns=30, revoked_ns=30)])
    assert catalogue.access.all_keys() == (replace(first, expires_ns=30, revoked_ns=30), second)
    catalogue.access.save(gone=[first.public_key])
    assert catalogue.access.all_keys() == (second,)


def test_people_and_nodes_may_have_the_same_name(catalogue: Catalogue) -> None:
    """An engineer called lab1 is no reason to rename a machine."""
    for role in ("node", "operator", "viewer"):
        catalogue.access.save([key(role[0], role)])
    assert [one.role for one in catalogue.access.all_keys()] == ["node", "operator", "viewer"]


def test_what_an_invitation_makes_is_kept_with_its_use_or_not_at_all(catalogue: Catalogue) -> None:
    """A crash between the two would let a token work twice."""
    invited = InvitationInfo(
        digest="d" * 64, role="node", name="", made_by="ann", created_ns=1, expires_ns=9, uses=1
    )
    catalogue.access.save(invited=[invited])
    used = replace(invited, uses=0, used_by="lab1")
    catalogue.access.save([key("k")], [used])
    with pytest.raises(StoreError):
        catalogue.access.save([key("l")], [invited])
    assert catalogue.access.invitations() == (used,)
    assert catalogue.access.all_keys() == (key("k"),)


words = st.text(st.characters(codec="utf-8"), max_size=20)
tables = st.dictionaries(words, words, max_size=4)


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(words, max_size=4).map(tuple),
    addresses=tables,
    facts=tables,
    incarnation=st.integers(0, 2**63 - 1),
    heard_ns=st.integers(0, 2**63 - 1),
)
def test_a_node_is_remembered_as_it_described_itself(
    labels: tuple[str, ...], addresses: dict[str, str], facts: dict[str, str], incarnation: int, heard_ns: int
) -> None:
    """Whatever the codec lets in, the catalogue keeps."""
    said = hello(incarnation=incarnation, labels=labels, addresses=addresses, facts=facts)
    with TemporaryDirectory() as place:
        with Catalogue(Path(place) / "catalogue.sqlite") as catalogue:
            catalogue.save_node(hello(), 1)
            catalogue.save_node(said, heard_ns)
        with Catalogue(Path(place) / "catalogue.sqlite") as catalogue:
            (node,) = catalogue.nodes()
    assert node.instance == said.instance
    assert node.info == NodeInfo(
        name=said.name,
        state="away",
        incarnation=incarnation,
        labels=labels,
        addresses=addresses,
        facts=facts,
        run="",
        heard_ns=heard_ns,
    )


def test_a_reserved_node_is_told_with_its_run(catalogue: Catalogue) -> None:
    """`fabric nodes` after a restart must not call a busy node free."""
    catalogue.save_node(hello(), 5)
    catalogue.open_run(request(RUN, "lab1"), "ada", 100)
    catalogue.save_heard({"lab1": 77, "unknown": 1})

    info = catalogue.nodes()[0].info
    assert (info.state, info.run, info.heard_ns) == ("busy", RUN, 77)


def test_what_is_said_of_a_node_stays_with_it(catalogue: Catalogue) -> None:
    """Its next hello describes the machine, and changes nothing of that."""
    catalogue.save_node(hello(labels=("own",)), 5)
    marks = {
        "labels": ("gpu",),
        "drained_by": "ann",
        "drained_why": "disk",
        "drained_ns": 7,
        "dirty_run": RUN,
    }
    catalogue.save_marks("lab1", marks)
    catalogue.save_marks("lab1", marks | {"drained_ns": 8})
    catalogue.save_node(hello(labels=("own", "new")), 6)

    info = catalogue.nodes()[0].info
    assert (info.labels, info.given_labels) == (("own", "new", "gpu"), ("gpu",))
    assert (info.drained_by, info.drained_why, info.drained_ns, info.dirty_run) == ("ann", "disk", 8, RUN)


def test_only_a_closed_run_is_deleted_and_all_of_it(catalogue: Catalogue) -> None:
    """An open one has nodes that wait for its end."""
    catalogue.open_run(request(RUN, "lab1"), "ada", 100)
    catalogue.save_phase(RUN, PhaseStarted(t_ns=1, bound_ns=0, phase="1/run", go=1, t0_ns=1, lead_ns=1))
    assert not catalogue.delete_run(RUN)
    catalogue.close_run(RUN, "pass", "{}", 200, 5)
    assert catalogue.delete_run(RUN)
    assert catalogue.run(RUN) is None
    assert catalogue.phases(RUN) == ()
    assert not catalogue.delete_run(RUN)


def test_a_run_gets_all_its_nodes_or_none(catalogue: Catalogue) -> None:
    """Two runs that want one node: the second is told by whom and since when, and holds nothing."""
    assert catalogue.open_run(request(RUN, "lab1", "lab2"), "ada", 100) == ()

    held = catalogue.open_run(request(OTHER, "lab2", "lab3"), "bob", 200)

    assert held == (Reservation(node="lab2", run=RUN, name="hello", operator="ada", since_ns=100),)
    assert catalogue.run(OTHER) is None
    assert [(one.node, one.run) for one in catalogue.reservations()] == [("lab1", RUN), ("lab2", RUN)]


def test_opening_a_run_again_is_harmless_but_nobody_else_can(catalogue: Catalogue) -> None:
    """A controller repeats its request when the answer was lost."""
    catalogue.open_run(request(RUN, "lab1"), "ada", 100)
    assert catalogue.open_run(request(RUN, "lab1"), "ada", 101) == ()
    assert catalogue.reservations()[0].since_ns == 100

    with pytest.raises(StoreError, match="exists already, open, of ada"):
        catalogue.open_run(request(RUN, "lab2"), "bob", 102)
    catalogue.close_run(RUN, "pass", "{}", 103, 5)
    with pytest.raises(StoreError, match="exists already, closed"):
        catalogue.open_run(request(RUN, "lab1"), "ada", 104)
    assert catalogue.reservations() == ()


def test_a_closed_run_keeps_its_first_verdict_and_its_nodes_are_free(catalogue: Catalogue) -> None:
    """A late CloseRun must not overwrite what the bundle says."""
    catalogue.open_run(request(RUN, "lab1"), "ada", 100, session="s1")
    assert catalogue.close_run(RUN, "fail", '{"x": 1}', 200, 42)
    assert not catalogue.close_run(RUN, "pass", "{}", 300, 43)

    stored = catalogue.run(RUN)
    assert stored is not None
    assert (stored.info.state, stored.info.verdict, stored.info.closed_ns) == ("closed", "fail", 200)
    assert (stored.info.last, stored.info.nodes, stored.result) == (42, ("lab1",), '{"x": 1}')
    assert (stored.session, stored.lease_s, stored.trial, stored.plan) == (
        "s1", 20.0, "[trial]", '{"a": 1}'
    )  # fmt: skip
    assert catalogue.open_run(request(OTHER, "lab1"), "bob", 400) == ()


def test_open_runs_survive_the_broker(tmp_path: Path) -> None:
    """A restarted broker goes on with them and their reservations."""
    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
        catalogue.open_run(request(RUN, "lab1"), "ada", 100)
        catalogue.open_run(request(OTHER, "lab2"), "bob", 200)
        catalogue.close_run(OTHER, "pass", "{}", 300, 1)

    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
        assert [run.info.run for run in catalogue.open_runs()] == [RUN]
        assert [one.node for one in catalogue.reservations()] == ["lab1"]


def test_runs_are_listed_newest_first_and_found_by_the_beginning_of_their_id(catalogue: Catalogue) -> None:
    """`fabric runs` and `fabric-tail 2025` look them up so."""
    for day in range(1, 6):
        run = f"2025010{day}-120000-a_b-a1b2"
        catalogue.open_run(request(run), "ada", day)

    assert [info.opened_ns for info in catalogue.runs(limit=3)] == [5, 4, 3]
    assert [info.opened_ns for info in catalogue.runs("20250102")] == [2]
    assert catalogue.runs("2025010_") == ()
    assert catalogue.runs("20250102-120000-A") == ()


def test_phases_and_steps_are_what_the_records_said_however_often(catalogue: Catalogue) -> None:
    """After a restart the broker reads the end of the log again: that must change nothing."""
    catalogue.open_run(request(RUN, "lab1"), "ada", 100)
    said: list[Record] = [
        PhaseStarted(t_ns=1, bound_ns=0, phase="1/load", go=1, t0_ns=50, lead_ns=20),
        PhaseStarted(t_ns=2, bound_ns=0, phase="1/load", go=2, t0_ns=90, lead_ns=20),
        Notice(t_ns=3, bound_ns=0, level="info", message="not for the catalogue"),
        started("1/load/client/0", 91),
        finished("1/load/client/0", 99),
        StepSkipped(t_ns=100, bound_ns=0, step="1/load/client/1", message="an earlier step failed"),
        PhaseEnded(
            t_ns=101,
            bound_ns=0,
            phase="1/load",
            failed=True,
            skew_ns=4,
            skew_bound_ns=9,
            latest_node="lab1",
            delayed_by="the go came late",
            earliest_node="lab2",
            way="gate",
        ),
    ]
    for _ in range(2):
        catalogue.save_records(RUN, "lab1", said)

    first, second = catalogue.phases(RUN)
    assert (first.go, first.failed, first.skew_ns) == (1, None, None)
    assert (second.go, second.failed, second.skew_ns, second.skew_bound_ns) == (2, True, 4, 9)
    start = (second.earliest_node, second.latest_node, second.delayed_by, second.way)
    assert start == ("lab2", "lab1", "the go came late", "gate")
    assert first.earliest_node is None
    ran, skipped = catalogue.steps(RUN)
    assert (ran.started_ns, ran.finished_ns, ran.exit_code, ran.reason) == (91, 99, 3, "exited")
    assert ran.message == "exited with 3"
    assert (skipped.attempt, skipped.reason, skipped.message) == (0, "skipped", "an earlier step failed")


def test_only_what_counts_in_the_end_has_failed(catalogue: Catalogue) -> None:
    """An attempt that another one follows has not; a step that lacks a metric has, though it ended well."""
    catalogue.open_run(request(RUN, "lab1"), "ada", 100)
    again = finished("1/load/client/0", 3)
    said: list[Record] = [
        replace(again, retried=True),
        replace(again, attempt=2, failed=False),
        replace(again, step="1/load/client/1", failed=False),
    ]
    missing = MetricMissing(
        t_ns=4, bound_ns=5, node="lab1", step="1/load/client/1", attempt=1, name="rtt", why="no match"
    )
    catalogue.save_records(RUN, "lab1", said)
    catalogue.save_records(RUN, "", [missing])

    assert catalogue.counts(RUN) == (0, 3, 1)
    (failed,) = catalogue.failed_steps(RUN, 9)
    assert (failed.node, failed.step, failed.message) == ("lab1", "1/load/client/1", "metric rtt: no match")


def test_steps_of_a_run_that_is_not_there_are_refused(catalogue: Catalogue) -> None:
    """Foreign keys are on: the catalogue has no orphans."""
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        catalogue.save_step(RUN, "lab1", started("1/load/client/0", 1))
    catalogue.open_run(request(RUN), "ada", 1)
    catalogue.save_step(RUN, "lab1", started("1/load/client/0", 1))
    assert len(catalogue.steps(RUN)) == 1

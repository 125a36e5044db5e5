"""The nodes of a private fabric: whatever a trial wants, on one machine."""

from dataclasses import replace

from fabric.trial.cells import Cell
from fabric.trial.load import parse_trial
from fabric.trial.localnodes import local_nodes
from fabric.trial.resolve import resolve
from tests.unit.run_lab import TRIAL

BASE = parse_trial(TRIAL, "t.toml")


def nodes_for(*specs: str, cells: tuple[Cell, ...] = (Cell(0, {}),)) -> dict[str, tuple[str, ...]]:
    roles = {f"r{number}": (spec,) for number, spec in enumerate(specs)}
    return local_nodes(replace(BASE, roles=roles), cells)


def test_named_nodes_get_their_names() -> None:
    """So that what is seen locally looks like the lab."""
    assert nodes_for("lab[1-2]", "sut") == {"lab1": (), "lab2": (), "sut": ()}


def test_nodes_that_are_wanted_by_a_label_are_made_up_with_it() -> None:
    """A trial written for a large lab can be tried on a laptop; roles that pick do not share nodes."""
    assert nodes_for("2 of @etcd", "1 of @etcd") == dict.fromkeys(("etcd-1", "etcd-2", "etcd-3"), ("etcd",))
    assert nodes_for("all of @load & !@slow") == {"load-1": ("load",), "load-2": ("load",)}
    assert nodes_for("2 of lab[1-3] & @gpu") == dict.fromkeys(("lab1", "lab2", "lab3"), ("gpu",))


def test_the_nodes_of_all_cells_are_there_at_once() -> None:
    """They are started once, before the first cell."""
    cells = (Cell(1, {"a": "lab1"}), Cell(2, {"a": "lab2"}))
    assert set(nodes_for("$a", "1 of @x", cells=cells)) == {"lab1", "lab2", "x-1"}


def test_a_trial_finds_its_nodes_among_them() -> None:
    """That is what they are for."""
    roles = {"db": ("3 of @etcd",), "client": ("2 of @load & !@etcd",)}
    trial = replace(BASE, roles=roles)
    from fabric.protocol.messages import NodeInfo

    infos = [
        NodeInfo(
            name=name, state="free", incarnation=1, labels=labels, addresses={}, facts={}, run="", heard_ns=1
        )
        for name, labels in local_nodes(trial, [Cell(0, {})]).items()
    ]
    assert len(resolve(trial, [Cell(0, {})], infos, 1).nodes) == 5

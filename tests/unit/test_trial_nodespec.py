"""Node specs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.protocol.names import NODE
from fabric.trial.nodespec import MAX_NODES, SpecError, expand, expand_all


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        ("lab1", ("lab1",)),
        ("lab[1-4]", ("lab1", "lab2", "lab3", "lab4")),
        ("lab[08-11]", ("lab08", "lab09", "lab10", "lab11")),
        ("gen[001-002]", ("gen001", "gen002")),
        ("lab[9-10]", ("lab9", "lab10")),
        ("lab[3-3].example.org", ("lab3.example.org",)),
        ("[1-2]x", ("1x", "2x")),
    ],
)
def test_a_spec_names_nodes_in_order(spec: str, nodes: tuple[str, ...]) -> None:
    """The order is that of `$my_index`; zeros pad to the length of the lower end."""
    assert expand(spec) == nodes


@pytest.mark.parametrize(
    "spec", ["", " lab1", "lab[4-1]", "lab[1-2][1-2]", "lab[1", "lab[a-b]", "lab[-2]", "x" * 64]
)
def test_a_wrong_spec_is_refused(spec: str) -> None:
    """A node that cannot exist would be waited for."""
    with pytest.raises(SpecError) as raised:
        expand(spec)
    assert not raised.value.later


@pytest.mark.parametrize("spec", ["@gpu", "3 of @etcd", "all of @load", "$a", "@a & !@b", "95% of @load"])
def test_a_spec_of_a_later_version_is_said_to_be_one(spec: str) -> None:
    """Nobody shall look for the typo in what the format allows."""
    with pytest.raises(SpecError, match="not supported by this version") as raised:
        expand(spec)
    assert raised.value.later


def test_a_node_plays_a_role_once() -> None:
    """It would run every step twice, under one name."""
    with pytest.raises(SpecError, match="`lab2` is named twice"):
        expand_all(["lab[1-2]", "lab2"])


def test_a_huge_range_is_refused_before_it_is_made() -> None:
    """A slip of a digit must not fill the memory."""
    assert len(expand(f"n[1-{MAX_NODES}]")) == MAX_NODES
    with pytest.raises(SpecError, match="over the limit"):
        expand("n[1-999999999]")


@given(st.text("lab0123[]-. ,", max_size=12))
def test_what_is_named_can_be_a_node(spec: str) -> None:
    """Names go into keys, paths and messages."""
    with contextlib.suppress(SpecError):
        assert all(NODE.fullmatch(node) for node in expand(spec))

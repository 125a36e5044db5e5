"""Which nodes play which role."""

from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.errors import UsageError
from fabric.protocol.messages import NodeInfo
from fabric.trial.cells import cells_of
from fabric.trial.load import parse_trial
from fabric.trial.model import Trial
from fabric.trial.nodespec import MAX_NODES, SpecError
from fabric.trial.resolve import Resolution, asks_free, asks_lab, needed, resolve
from fabric.trial.rolespec import check_spec
from fabric.trial.shortage import LabError

PLAIN = parse_trial('[trial]\nname = "t"\n[nodes]\na = "lab1"\n[run]\na = "true"\n', "t.toml")


def node(name: str, *labels: str, state: Literal["free", "busy", "away", "drained"] = "free") -> NodeInfo:
    run = "20260301-102207-ping-k3f9" if state == "busy" else ""
    return NodeInfo(
        name=name, state=state, incarnation=1, labels=labels, addresses={}, facts={}, run=run, heard_ns=0
    )


LAB = [
    node("lab10", "etcd"),
    node("lab2", "etcd", "gpu", state="busy"),
    node("lab1", "etcd", "gpu"),
    node("lab4", "etcd", "flaky", "gpu"),
    node("lab7", "etcd", state="away"),
    node("gen1", "load"),
    node("gen2", "load"),
]


def trial(roles: dict[str, Any], **changes: Any) -> Trial:
    texts = {role: (spec,) if isinstance(spec, str) else tuple(spec) for role, spec in roles.items()}
    return replace(PLAIN, roles=texts, **changes)


def roles(one: Trial, registry: list[NodeInfo] | None = None, seed: int = 7) -> Any:
    return solved(one, registry, seed).roles[0]


def solved(one: Trial, registry: list[NodeInfo] | None = None, seed: int = 7) -> Resolution:
    return resolve(one, cells_of(one), LAB if registry is None else registry, seed)


def problems(one: Trial, registry: list[NodeInfo] | None = None) -> LabError:
    with pytest.raises(LabError) as raised:
        solved(one, registry)
    assert raised.value.exit_code == 3
    return raised.value


def test_named_nodes_are_taken_as_they_are() -> None:
    """In the order of the file, which is that of `$my_index`; a node may play several roles."""
    found = solved(trial({"a": ["lab4", "lab1"], "b": "gen[1-2],lab1"}))
    assert found.roles[0] == {"a": ("lab4", "lab1"), "b": ("gen1", "gen2", "lab1")}
    assert found.nodes == ("lab4", "lab1", "gen1", "gen2")
    assert (found.absent, found.missing, found.notes) == ({}, {}, ())


def test_without_a_broker_what_is_named_is_there() -> None:
    """`--local` starts an agent for each, and `--plan` can be read anywhere."""
    one = trial({"a": "x[1-2]", "b": "1 of y[1-3] & !y2"})
    found = resolve(one, cells_of(one), None, 7)
    assert found.roles[0]["a"] == ("x1", "x2")
    assert found.roles[0]["b"] in (("y1",), ("y3",))


def test_labels_need_a_broker() -> None:
    """The way out is to name the nodes."""
    one = trial({"a": "lab1", "db": "2 of @etcd"})
    with pytest.raises(UsageError, match="only a broker can tell which nodes `2 of @etcd` are") as raised:
        resolve(one, cells_of(one), None, 7)
    assert raised.value.hint == "name them: --nodes db=lab[1-3]"
    assert asks_lab(one, cells_of(one))
    assert not asks_lab(trial({"a": "2 of lab[1-3]"}), cells_of(one))
    assert asks_lab(trial({"a": "lab1"}, network="test"), cells_of(one))


def test_a_choice_needs_to_know_who_is_free() -> None:
    """Of nodes that are named one by one nobody has to choose."""
    for spec, is_choice in (("2 of lab[1-3]", True), ("lab1, 1 of @etcd", True), ("@etcd", False)):
        one = trial({"a": spec})
        assert asks_free(one, cells_of(one)) == is_choice
    one = trial({"a": "lab[1-3]"})
    assert not asks_free(one, cells_of(one))


def test_all_of_a_label_are_all_that_bear_it() -> None:
    """A bare expression means the same; numbers are in their natural order."""
    free = [one for one in LAB if one.state == "free"]
    for spec in ("all of @etcd", "@etcd"):
        assert roles(trial({"a": spec}), free)["a"] == ("lab1", "lab4", "lab10")
    assert roles(trial({"a": "@gpu & !@flaky"}), free)["a"] == ("lab1",)
    assert roles(trial({"a": "@etcd & lab[1-9]"}), free)["a"] == ("lab1", "lab4")
    assert roles(trial({"a": "!@load & !lab10"}), free)["a"] == ("lab1", "lab4")
    assert roles(trial({"a": ["lab10", "@etcd"]}), free)["a"] == ("lab10", "lab1", "lab4")


def test_some_of_a_label_are_free_nodes_that_the_seed_picks() -> None:
    """The same seed picks the same ones, also if another node goes."""
    one = trial({"a": "1 of @etcd"})
    picked = {seed: roles(one, seed=seed)["a"] for seed in range(30)}
    assert set(picked.values()) == {("lab1",), ("lab4",), ("lab10",)}
    others = [info for info in LAB if info.name != "lab4"]
    assert all(roles(one, others, seed)["a"] == nodes for seed, nodes in picked.items() if nodes != ("lab4",))


def test_a_node_is_picked_for_one_role_only() -> None:
    """And those that are named come last: who names a node means it for that role."""
    one = trial({"sut": "lab1", "a": "1 of @etcd", "b": "1 of @etcd", "c": "1 of @gpu"})
    for seed in range(20):
        found = roles(one, seed=seed)
        assert sorted([*found["a"], *found["b"], *found["c"]]) == ["lab1", "lab10", "lab4"]
    one = trial({"sut": "lab1", "a": "2 of @etcd"})
    assert {roles(one, seed=seed)["a"] for seed in range(20)} == {("lab4", "lab10")}


def test_a_pick_adds_to_the_other_nodes_of_its_role() -> None:
    """`lab1 and two more` never means lab1 twice."""
    assert roles(trial({"a": ["lab1", "2 of @etcd"]}))["a"] == ("lab1", "lab4", "lab10")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            "4 of @etcd",
            "lab1,lab4,lab10; lab2 is in use by run 20260301-102207-ping-k3f9, lab7 is away",
        ),
        (
            "2 of @gpu & !@flaky",
            "role a: 2 of @gpu & !@flaky: only 1 free node fits: lab1; lab2 is in use by run ",
        ),
        (
            "1 of lab[7-9]",
            "role a: 1 of lab[7-9]: no free node fits; lab7 is away, lab[8-9] are unknown to the",
        ),
        ("@etcd", "role a: @etcd: lab2 is in use by run 20260301-102207-ping-k3f9, lab7 is away"),
        ("1 of @etdc", "role a: 1 of @etdc: no node of the lab fits"),
        ("@etdc", "role a: @etdc: no node of the lab fits"),
        (["lab1", "lab7", "lab9"], "role a: lab7 is away, lab9 is unknown to the broker"),
    ],
)
def test_what_is_missing_is_told_with_what_was_found(spec: Any, sentence: str) -> None:
    """Who reads it can see what to do: free a node, repair one, or want less."""
    assert sentence in str(problems(trial({"a": spec})))


def test_a_drained_node_is_not_one_of_all() -> None:
    """An operator keeps it out of use; who names it is told so."""
    drained = replace(node("gen3", "load", state="drained"), drained_by="ann", drained_why="new disk")
    away = replace(node("gen4", "load", state="away"), drained_by="ann")
    registry = [*LAB, drained, away]
    assert roles(trial({"a": "all of @load"}), registry)["a"] == ("gen1", "gen2")
    assert "gen3 is drained by ann (new disk), gen4 is away" in str(
        problems(trial({"a": "3 of @load"}), registry)
    )
    assert not problems(trial({"a": "gen3"}), registry).may_come
    assert str(problems(trial({"a": "@load"}), [drained])) == (
        "role a: @load: gen3 is drained by ann (new disk)"
    )


def test_all_roles_that_lack_nodes_are_told() -> None:
    """One after the other would be a long way."""
    error = problems(trial({"a": "lab33", "b": "gen1", "c": "5 of @load", "d": "2 of @load"}))
    assert str(error).split("\n") == [
        "the nodes cannot be had:",
        "  role a: lab33 is unknown to the broker",
        "  role c: 5 of @load: only 2 free nodes fit: gen[1-2]",
        "  role d: 2 of @load: only 2 free nodes fit: gen[1-2], and none of them are left for it",
    ]
    assert "`fabric nodes`" in error.hint
    assert "did you mean `lab4`?" in problems(trial({"a": "lab44"})).hint


def test_an_error_says_whether_waiting_could_help() -> None:
    """A busy node comes back, an unknown one does not."""
    assert problems(trial({"a": "lab2"})).may_come
    assert problems(trial({"a": "4 of @etcd"})).may_come
    assert not problems(trial({"a": "lab2", "b": "lab9"})).may_come
    assert not problems(trial({"a": "3 of @load"})).may_come
    assert "--wait" in problems(trial({"a": "lab2"})).hint
    assert "--wait" in problems(trial({"a": "4 of @etcd"})).hint
    assert "--wait" not in problems(trial({"a": "lab2", "b": "lab9"})).hint


def test_a_quorum_lets_nodes_be_missing() -> None:
    """One dead machine of a hundred is no reason to wait for it."""
    registry = [
        node(f"gen{number}", "load", state="away" if number == 7 else "free") for number in range(1, 21)
    ]
    for spec in ("gen[1-20]", "all of @load", "20 of @load"):
        found = solved(trial({"load": spec}, quorum=0.95), registry)
        assert len(found.roles[0]["load"]) == 19
        assert found.absent == {0: {"load": 1}}
        assert "gen7 is away" in found.notes[0]
        assert found.notes[0].endswith("going on with 19 of 20 nodes")
    assert solved(trial({"load": "gen[1-20]"}, quorum=0.95), registry).missing == {"gen7": "away"}
    error = problems(trial({"load": "gen[1-21]"}, quorum=0.95), registry)
    assert "(19 of its 21 nodes are there, the quorum wants 20)" in str(error)


def test_every_node_has_an_address_in_the_network_of_the_trial() -> None:
    """Its traffic would take another way than the one that is measured."""
    registry = [replace(node(name), addresses={"": "10.0.0.1", "test": "10.1.0.1"}) for name in ("a1", "a2")]
    one = trial({"a": "a[1-2]", "b": "lab1"}, network="test")
    assert solved(replace(one, roles={"a": ("a[1-2]",)}), registry).nodes == ("a1", "a2")
    error = problems(one, [*registry, *LAB])
    assert str(error) == "lab1 has no address in network `test`"
    assert "--addr test=ADDRESS" in error.hint
    assert resolve(one, cells_of(one), None, 7).nodes == ("a1", "a2", "lab1")


def test_a_role_is_never_empty() -> None:
    """The smallest quorum wants one node."""
    assert "lab7 is away" in str(problems(trial({"a": "lab7"}, quorum=0.01)))
    assert [needed(0.95, 100), needed(0.95, 20), needed(0.95, 21), needed(0.01, 3), needed(1.0, 7)] == [
        95,
        19,
        20,
        1,
        7,
    ]


def test_variables_of_the_matrix_are_nodes_or_parts_of_specs() -> None:
    """What does not depend on them is the same in all cells."""
    one = trial(
        {"server": "$a", "client": "$b", "load": "$n of @load", "x": "lab${i}0", "watch": "1 of @etcd"},
        matrix={"a": ("lab1", "lab4"), "b": ("lab1", "lab4"), "n": ("1", "2"), "i": ("1",)},
        distinct=("a", "b"),
    )
    found = solved(one)
    assert [
        (parts["server"], parts["client"], len(parts["load"]), parts["x"]) for parts in found.roles.values()
    ] == [
        (("lab1",), ("lab4",), 1, ("lab10",)),
        (("lab1",), ("lab4",), 2, ("lab10",)),
        (("lab4",), ("lab1",), 1, ("lab10",)),
        (("lab4",), ("lab1",), 2, ("lab10",)),
    ]
    assert len({parts["watch"] for parts in found.roles.values()}) == 1
    assert set(found.roles[1]["load"]) < set(found.roles[2]["load"])
    only = resolve(one, cells_of(one, ["cell=2"]), LAB, 7)
    assert list(only.roles) == [2]


def test_a_spec_that_is_wrong_in_a_cell_is_refused() -> None:
    """Before anything is started; it is the file that is wrong, or an option."""
    one = trial({"a": ["$x", "lab1"]}, matrix={"x": ("lab4", "lab1")})
    with pytest.raises(
        UsageError, match=r"nodes of role `a` with x=lab1: node `lab1` is named twice"
    ) as raised:
        solved(one)
    assert "distinct" in raised.value.hint
    with pytest.raises(UsageError, match=r"with x=many: `many` is no number of nodes"):
        solved(trial({"a": "$x of @load"}, matrix={"x": ("many",)}))
    with pytest.raises(UsageError, match="twice"):
        solved(trial({"a": "lab1,lab1"}))


def test_a_trial_has_so_many_nodes_at_most() -> None:
    """Each role may be within the limit, and all of them together not."""
    one = trial({"a": "a[1-1500]", "b": "b[1-1500]"})
    with pytest.raises(UsageError, match=f"3000 nodes, over the limit of {MAX_NODES}"):
        resolve(one, cells_of(one), None, 7)


def test_a_spec_is_checked_with_the_values_of_its_variables() -> None:
    """A wrong value is found when the file is read."""
    matrix = {"a": ("lab1", "lab 2"), "n": ("1", "2"), "b": ("x",)}
    check_spec("$n of @load", matrix)
    check_spec("$b, ${b}1", matrix)
    with pytest.raises(SpecError, match=r"with \$a = 'lab 2'"):
        check_spec("$a", matrix)
    with pytest.raises(SpecError, match="nothing sets") as raised:
        check_spec("lab1,$bb", matrix)
    assert (raised.value.start, raised.value.end) == (5, 8)
    assert "did you mean `b`?" in raised.value.hint
    with pytest.raises(SpecError, match="backwards"):
        check_spec("lab[2-1]", matrix)


_STATES = st.sampled_from(["free", "free", "free", "busy", "away"])
_NODES = st.lists(st.tuples(st.sets(st.sampled_from("xyz")), _STATES), max_size=8).map(
    lambda found: [node(f"n{at}", *sorted(labels), state=state) for at, (labels, state) in enumerate(found)]
)
_SPEC = st.sampled_from(["1 of @x", "2 of @y", "@z", "2 of @x & !@y", "n1", "n[2-3]", "1 of n[1-5]"])


@given(_NODES, st.lists(_SPEC, min_size=1, max_size=4), st.sampled_from([1.0, 0.5]), st.integers(0, 5))
def test_what_is_found_holds(registry: list[NodeInfo], specs: list[str], quorum: float, seed: int) -> None:
    """Only free nodes, none picked twice, none twice in a role, no role empty; or an error that says why."""
    one = trial({f"r{at}": spec for at, spec in enumerate(specs)}, quorum=quorum)
    try:
        found = solved(one, registry, seed)
    except LabError as error:
        assert error.problems  # noqa: PT017 - most small labs do not have what is wanted
        return
    free = {info.name for info in registry if info.state == "free"}
    picked = [name for at, spec in enumerate(specs) if " of " in spec for name in found.roles[0][f"r{at}"]]
    assert len(picked) == len(set(picked))
    for nodes in found.roles[0].values():
        assert nodes
        assert len(set(nodes)) == len(nodes)
        assert set(nodes) <= free
    assert quorum < 1 or not found.absent

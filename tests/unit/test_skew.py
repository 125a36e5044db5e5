"""How far apart the nodes of a phase have started, how sure that is, and what delayed the last one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.controller.offsets import late_s, offsets_of
from fabric.controller.skew import Skew, delay, excess, skew_of
from fabric.protocol.records import StepStarted

MS = 1_000_000
T0_NS = 1000 * MS


def start(late_ns: int = 0, bound_ns: int = 0, **changes: object) -> StepStarted:
    fields: dict[str, object] = {
        "t_ns": T0_NS + late_ns, "bound_ns": bound_ns, "step": "1/run/a/a-1", "attempt": 1, "pid": 1,
        "event": "release", "planned_ns": T0_NS, "go": 1, "way": "exec_stop",
        "ordered_ns": T0_NS - 10 * MS, "woke_ns": T0_NS,
    }  # fmt: skip
    return StepStarted(**(fields | changes))  # type: ignore[arg-type]


def skew(*starts: StepStarted) -> Skew:
    found = skew_of(T0_NS, [(f"n{number}", one) for number, one in enumerate(starts, 1)])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ordered_ns": T0_NS + 2 * MS}, "the go came late: its launcher had it 2 ms after the instant"),
        ({"ordered_ns": T0_NS - MS // 2}, "the go came late: its launcher had it 0.5 ms before the instant"),
        ({"woke_ns": T0_NS + 3 * MS}, "its launcher woke 3 ms late"),
        ({"woke_ns": T0_NS + MS}, "its release had to wait 3 ms for its turn"),
        ({"way": "gate", "event": "exec"}, "its program was slow to be executed: 4 ms"),
        ({"ordered_ns": 0, "woke_ns": 0}, ""),
    ],
)
def test_the_greatest_part_of_a_delay_is_its_cause(changes: dict[str, object], why: str) -> None:
    """Who mends a lab has to know whether network, launcher or program was slow."""
    assert delay(start(4 * MS, **changes)) == why


def test_the_skew_names_its_nodes_and_how_they_were_held() -> None:
    """Starts of two ways are two kinds of instants, and who compares them has to know."""
    found = skew(start(MS), start(3 * MS, way="gate", event="exec"), start(2 * MS))
    assert (found.earliest_node, found.latest_node, found.way) == ("n1", "n2", "mixed")
    assert found.delayed_by == "its program was slow to be executed: 3 ms"
    assert skew(start(), start()).way == "exec_stop"


def test_what_an_agent_does_by_itself_is_not_in_the_skew() -> None:
    """It has no program, and its instant is the one that was planned."""
    assert skew_of(T0_NS, [("n1", start()), ("n2", start(event="agent", way=""))]) is None


def test_a_clock_that_is_known_badly_widens_the_bound_though_its_node_is_neither_first_nor_last() -> None:
    """It may have been either in truth."""
    assert skew(start(0, MS), start(5 * MS, MS)).bound_ns == 2 * MS
    found = skew(start(0, MS), start(5 * MS, MS), start(2 * MS, 50 * MS))
    assert found.bound_ns >= 48 * MS
    assert found.vague_node == "n3"


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**7), st.floats(-1, 1)), min_size=2))
def test_the_true_skew_lies_within_the_bound(starts: list[tuple[int, int, float]]) -> None:
    """Whatever the clocks do within what is known of them."""
    found = skew(*(start(late_ns, bound_ns) for late_ns, bound_ns, _ in starts))
    true = [late_ns + round(bound_ns * part) for late_ns, bound_ns, part in starts]
    assert abs(max(true) - min(true) - found.skew_ns) <= found.bound_ns + 2


@pytest.mark.parametrize(
    ("late_ns", "limit_s", "says"),
    [
        (4 * MS, None, ""),
        (4 * MS, 0.006, ""),
        (4 * MS, 0.0059, "skew 4 ms ± 2 ms is not proven to be within max_skew 5.9 ms: the clock of n1"),
        (4 * MS, 0.0021, "is not proven to be within"),
        (4 * MS, 0.0019, "skew 4 ms ± 2 ms is over max_skew 1.9 ms; n2 was the last"),
    ],
)
def test_a_limit_is_held_broken_or_not_proven(late_ns: int, limit_s: float | None, says: str) -> None:
    """A number that is only probably within its limit is not one to be trusted."""
    over = excess(skew(start(0, MS), start(late_ns, MS)), limit_s)
    assert says in over
    assert bool(says) == bool(over)


def test_the_excess_says_what_delayed_the_last() -> None:
    """The sentence is all that some people read."""
    over = excess(skew(start(), start(4 * MS, woke_ns=T0_NS + 4 * MS)), 0.001)
    assert over.endswith("n2 was the last: its launcher woke 4 ms late")


def test_starts_at_an_offset_have_an_error_of_their_own() -> None:
    """`at` and `spread` are kept by the launcher: how well is told of each phase, and of each start."""
    later = T0_NS + 50 * MS
    starts = [
        ("n1", start()),
        ("n1", start(51 * MS, planned_ns=later, step="1/run/a/a-2")),
        ("n2", start(53 * MS, planned_ns=later)),
        ("n3", start(60 * MS, planned_ns=later, event="agent")),
        ("n2", start(90 * MS, planned_ns=0, go=0)),
    ]
    found = offsets_of(T0_NS, starts)
    assert found == {"starts": 2, "median_late_s": 0.002, "max_late_s": 0.003, "node": "n2", "step": "a-1"}
    assert offsets_of(T0_NS, starts[:1]) is None
    assert late_s(start(planned_ns=0)) is None

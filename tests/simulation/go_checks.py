"""What must hold of a go in every order of events, and what excuses an exception."""

from tests.simulation.go_lab import GoLab, Sent
from tests.simulation.world import MS

LATE_NS = 5 * MS
"""An abort that comes later than this before t0 may find the launcher spinning: the way to it included."""

TURN_NS = MS
"""A broker that lives decides within so much of its own deadline."""


def outcome(lab: GoLab) -> str:
    """Return how a schedule ended, having checked it: whole, none, partial or death.

    All nodes start a phase or none does.  Else either a node has died, and the run is an error; or there was
    a cut in the last guard interval of the go, and the run is invalid.
    """
    worst = "none"
    for phase in dict.fromkeys(go.phase for go in lab.broker.gos):
        found = _outcome_of(lab, phase)
        worst = max(worst, found, key=("none", "whole", "death", "partial").index)
    return worst


def _outcome_of(lab: GoLab, phase: str) -> str:
    starters, findings = lab.starters(phase), lab.desk.findings
    if not starters:
        return "none"
    for name, starts in starters.items():
        assert len(starts) <= (2 if name == "n1" else 1), f"{_seed(lab)}: {name} started twice in {phase}"
    dead = {name for name, node in lab.nodes.items() if not node.turns.alive}
    wanted = set(lab.names)
    apart = _instants_apart(starters)
    if set(starters) == wanted and apart is None:
        return "whole"
    if set(starters) <= dead:
        assert findings.has("error"), f"{_seed(lab)}: {sorted(starters)} began and died unnoticed"
        return "death"
    if wanted - set(starters) <= dead and apart is None:
        assert findings.has("error") or findings.has("invalid"), f"{_seed(lab)}: {dead} died unnoticed"
        return "death"
    assert findings.has("invalid"), f"{_seed(lab)}: {phase} began on {sorted(starters)} only, unnoticed"
    gos = [go for go in lab.broker.gos if go.phase == phase]
    assert any(_is_excused(lab, go, starters) for go in gos), f"{_seed(lab)}: {phase} on {sorted(starters)}"
    return "partial"


def _instants_apart(starters: dict[str, list[tuple[int, int]]]) -> int | None:
    """Return how far apart the instants are that nodes began at, if they were not one; in nanoseconds."""
    planned = [min(planned for _, planned in starts) for starts in starters.values()]
    apart_ns = max(planned) - min(planned)
    return apart_ns if apart_ns > 10 * MS else None  # clocks are known to two milliseconds at worst


def _is_excused(lab: GoLab, go: Sent, starters: dict[str, list[tuple[int, int]]]) -> bool:
    """Whether something was cut off in the last guard interval: its broker, or a node that began."""
    broker = lab.broker.turns
    began = [
        name
        for name, starts in starters.items()
        if any(abs(planned - go.t0_ns) < 10 * MS for _, planned in starts)
    ]
    if not began:
        return False
    was_told = go.first_abort_ns is not None and go.first_abort_ns <= go.decided_ns + TURN_NS
    if not was_told:
        return broker.life > 0 or broker.is_stalled(go.decided_ns, go.t0_ns)
    return any(_is_unreached(lab, go, name) for name in began)


def _is_unreached(lab: GoLab, go: Sent, name: str) -> bool:
    """Whether no abort came to a node, and through it to its launcher, in time."""
    node = lab.nodes[name]
    in_time = [
        at_ns
        for phase, number, at_ns in node.aborts
        if (phase, number) == (go.phase, go.number) and at_ns < go.t0_ns - LATE_NS - 2 * node.bound_ns
    ]
    is_held_up = node.launcher.is_stalled(go.decided_ns, go.t0_ns)
    return not in_time or is_held_up


def _seed(lab: GoLab) -> str:
    return f"seed {lab.story.seed} ({lab.story})"

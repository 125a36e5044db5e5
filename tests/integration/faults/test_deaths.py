"""A node's agent or launcher dies or stands still, in each phase of a run.

All drills run at the same time, each on two nodes of its own, for each of them has to wait until the fabric
has given up on the node.
"""

from collections.abc import Iterator
from typing import Final, get_args

import pytest

from tests.integration.faults.drills import PHASES, Drill, Fault, Stage
from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import describe, until

DRILLS: Final = [(fault, stage) for fault in get_args(Fault) for stage in get_args(Stage)]

WITHIN_S: Final = 60.0
"""For all of them at once on two cores; one alone takes 16 s: 5 of silence, 10 of patience."""

AT_ONCE: Final = 3
"""So many runs start at one time; more would only wait for a processor."""

EVERYBODY: Final = """
[trial]
name = "afterwards"
lead = "500ms"
[nodes]
all = [{nodes}]
[run]
all = "true"
"""


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Drill]]:
    lab = Lab(tmp_path_factory.mktemp("deaths"))
    try:
        lab.start_broker()
        made = {drill: Drill(lab, *drill) for drill in DRILLS}
        lab.start_agents(*(name for drill in made.values() for name in (drill.victim, drill.other)))
        waiting = list(made.values())
        for started, drill in enumerate(waiting):
            drill.start()
            if started >= AT_ONCE:
                waiting[started - AT_ONCE].strike()
        for drill in waiting[-AT_ONCE:]:
            drill.strike()
        yield made
    finally:
        lab.close()


@pytest.mark.parametrize(("fault", "stage"), DRILLS)
def test_a_node_that_fails_ends_the_run_and_nothing_else(
    drills: dict[tuple[str, str], Drill], fault: Fault, stage: Stage
) -> None:
    """The run is over soon, says which node and which phase, and the other node has cleaned up."""
    drill = drills[fault, stage]
    run = drill.run

    code = run.wait(WITHIN_S)

    # A reset that was begun and not done leaves the node dirty, which says more than an error.
    is_dirty = stage == "reset" and fault.startswith("launcher")
    assert code == (5 if is_dirty else 3), run.said()
    whys = [why for why in run.result["why"] if drill.victim in why]
    assert whys, run.result["why"]
    assert any(PHASES[stage] in why or f"{PHASES[stage][2:]}/victim" in why for why in whys), whys
    assert drill.count("reset-other") == 1
    assert drill.count("collect-other") == 1
    # A launcher that stands still is noticed when it answers nothing for a while: the go has come and gone.
    none_began = stage == "prepare" or (stage == "ready" and fault != "launcher-stop")
    assert drill.has("other-ran") != none_began
    run.check_bundle()
    if stage not in ("prepare", "ready"):
        assert run.out(1, "run", drill.victim, "work.stdout") == b"before\n"
        assert run.out(1, "run", drill.victim, "work.stderr") == b"before, too\n"
    left = drill.lab.steps(drill.victim)
    until(lambda: not drill.lab.steps(drill.victim), lambda: f"the end of {[*map(describe, left)]}", 10.0)


def test_all_nodes_are_of_use_afterwards(drills: dict[tuple[str, str], Drill]) -> None:
    """Who comes back does the reset that it owes, once, and takes part in the next run."""
    lab = next(iter(drills.values())).lab
    for drill in drills.values():
        drill.run.wait(WITHIN_S)
        drill.repair()
    dirty = [drills[fault, "reset"].victim for fault in ("launcher-kill", "launcher-stop")]
    others = [name for name in lab.agents if name not in dirty]
    until(lambda: all(lab.nodes()[name]["state"] == "dirty" for name in dirty), "nodes to be dirty")
    cleaned = lab.command("nodes", "clean", *dirty)
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    lab.wait_free(*others, *dirty)
    after = lab.run(EVERYBODY.format(nodes=", ".join(f'"{name}"' for name in lab.agents)))

    assert after.wait() == 0, after.said()
    counts = {drill.name: drill.count("reset-victim") for drill in drills.values()}
    assert counts == dict.fromkeys(counts, 1)

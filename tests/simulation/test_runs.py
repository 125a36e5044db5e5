"""Whole runs from a seed (see run_lab), with deaths, cuts and losses.  A failure is told as a short story."""

from collections import Counter
from collections.abc import Sequence

import pytest

from tests.simulation.run_lab import Lab, play
from tests.simulation.shrink import check
from tests.simulation.troubles import (
    Story,
    Trouble,
    any_story,
    killed_story,
    resumed_story,
    small_story,
    story_of,
)
from tests.simulation.world import MS

SEEDS = 8
"""Small labs of each kind of trouble, some hundredths of a second each; `scripts/soak` goes through many."""

SMALL = 80
"""Small labs with all kinds, and half as many with agents that are killed and come back."""

FOUND = (
    # The next life of an agent numbered the ends of lost steps like records that the sink had.
    Story(
        seed=1, small=True, troubles=(Trouble("node_power", at_ns=500 * MS, lasts_ns=50 * MS, target="n2"),)
    ),
    # Its launcher released a program after the death of the agent, which nobody reset.
    Story(12, small=True, troubles=(Trouble("agent_kill", at_ns=23_322_617, lasts_ns=50 * MS, target="n2"),)),
    # A broker that had stood still gave up a controller to which it had not listened.
    Story(138, small=True, troubles=(Trouble("broker_pause", at_ns=900 * MS, lasts_ns=20_347_388_257),)),
    # Two requests to open a run were answered by two openings, when the catalogue was slow.
    Story(
        12,
        goes_on=True,
        small=True,
        troubles=(
            Trouble("node_power", at_ns=1_136_299_686, lasts_ns=2_237_430_463, target="n1"),
            Trouble("broker_pause", at_ns=23_322_617, lasts_ns=29_268_006_897),
        ),
    ),
    # A controller that had stood still took the broker's end of its run for its own: it had passed.
    Story(100, small=True, troubles=(Trouble("controller_pause", at_ns=900 * MS, lasts_ns=21_075_227_564),)),
    # A prepare of the phase before came again, and a node that had confirmed a go began nothing.
    Story(72, delay_ns=(100_000, 40 * MS), small=True, troubles=(Trouble("echo", 738_700_347, 0, "n2"),)),
    # A node restarted and reset alone while no controller was there, which waited for it ever after.
    Story(
        3_000_000_110,
        small=True,
        troubles=(
            Trouble("power", at_ns=957_557_123, lasts_ns=50 * MS),
            Trouble("agent_stop", at_ns=400 * MS, lasts_ns=50 * MS, target="n1"),
            Trouble("kill", at_ns=338_320_066, lasts_ns=50 * MS),
        ),
    ),
    # The key of a node was revoked while no broker was there to tell it: its run waited for it.
    Story(
        3_000_000_740,
        goes_on=True,
        small=True,
        troubles=(
            Trouble("revoke", at_ns=948_162_212, target="n2"),
            Trouble("kill", at_ns=900 * MS, lasts_ns=50 * MS),
        ),
    ),
)
"""Stories that have failed once."""


@pytest.mark.parametrize("story", FOUND)
def test_what_was_mended_stays_so(story: Story) -> None:
    """A short story of a seed that failed; see `scripts/soak`."""
    play(story)


def verdicts(kinds: Sequence[str], *, loss: float = 0.02, count: int = SEEDS) -> Counter[str]:
    """Play stories with these kinds of trouble; return how often which verdict came out."""
    found: Counter[str] = Counter()

    def played(story: Story) -> None:
        found[play(story)] += 1

    for seed in range(count):
        check(story_of(seed, kinds, loss=loss, small=True), played)
    return found


def test_a_quiet_lab_passes() -> None:
    """Without trouble the verdict is pass, or every later word about trouble is worthless."""
    assert play(Story(0)) == "pass"
    assert play(Story(1, small=True)) == "pass"


def test_a_failing_step_fails_the_run() -> None:
    """And the run still ends, collects and resets."""
    assert play(Story(1, failing=True)) == "fail"


def test_lossy_links_change_no_verdict_but_time() -> None:
    """Lost messages are said again: the run passes, or its go could not be agreed on in time."""
    found = verdicts((), loss=0.1, count=2 * SEEDS)
    assert set(found) <= {"pass", "error", "invalid"}
    assert found["pass"] > SEEDS


def test_broker_crashes_lose_and_double_nothing() -> None:
    """A broker that is killed and starts again is an event, not an end."""
    found = verdicts(("kill", "kill"))
    assert set(found) <= {"pass", "error", "invalid"}
    assert found["pass"] > SEEDS * 0.5


def test_a_broker_that_dies_while_nodes_come_free_changes_no_verdict() -> None:
    """All has been done and measured; what nodes said of their end they say again."""
    quiet, freeing = Lab(Story(SEEDS, small=True)), []
    begun_ns = quiet.world.now_ns

    def look() -> None:
        if quiet.controller.run_machine.state == "freeing":
            freeing.append(quiet.world.now_ns - begun_ns)

    quiet.world.after_event.append(look)
    assert quiet.run() == "pass"
    for part in range(4):
        at_ns = freeing[0] + (freeing[-1] - freeing[0]) * part // 4
        story = Story(SEEDS, small=True, troubles=(Trouble("kill", at_ns=at_ns, lasts_ns=50 * MS),))
        assert play(story) == "pass", story


def test_a_loss_of_power_of_the_broker_is_no_more_than_a_crash() -> None:
    """What was not on its disk nobody has seen, and its sources bring it again."""
    found = verdicts(("power", "power"))
    assert set(found) <= {"pass", "error", "invalid"}
    assert found["pass"] > SEEDS * 0.5


def test_cuts_of_any_length_end_every_run_and_lose_nothing() -> None:
    """One way or both, of a node or of the controller."""
    found = verdicts(("cut", "cut"), count=2 * SEEDS)
    assert set(found) <= {"pass", "error", "invalid"}
    assert found["pass"]


def test_agents_that_are_killed_and_come_back_in_time_go_on_with_their_steps() -> None:
    """In the middle of whatever they do, and again while they take over: nothing starts twice, or is lost."""
    found: Counter[str] = Counter()

    def played(story: Story) -> None:
        found[play(story)] += 1

    for seed in range(SMALL // 2):
        check(killed_story(seed), played)
    assert found["pass"] > SMALL * 0.3


def test_agents_that_are_stopped_end_the_run_as_error() -> None:
    """Whether they come back at once or late."""
    found = verdicts(("agent_stop",), count=2 * SEEDS)
    assert set(found) <= {"pass", "error", "invalid", "dirty"}  # in the middle of the reset
    assert found["error"]


def test_launchers_that_die_end_the_run_as_error_or_have_their_steps_tried_again() -> None:
    """A reset of which nobody knows whether it was done leaves a dirty node."""
    found = verdicts(("launcher_death",), count=2 * SEEDS)
    assert set(found) <= {"pass", "error", "fail", "invalid", "dirty"}
    assert found["pass"]
    assert found["error"]


def test_a_dead_controller_leaves_no_open_run() -> None:
    """The leases clean up, and the broker closes the run."""
    verdicts(("controller_death",))


def test_a_run_that_is_resumed_does_what_is_left_of_the_first_one() -> None:
    """After the death or the interrupt of a controller, at any moment; with any trouble beside it."""
    for seed in range(2 * SEEDS):
        check(resumed_story(seed), play)


def test_interrupts_end_every_run() -> None:
    """Ctrl-C once or three times, at any moment."""
    for count in (1, 3):
        found = verdicts(("interrupt",) * count)
        assert set(found) <= {"interrupted", "error", "invalid", "dirty", "pass"}


def test_small_labs_with_all_kinds_of_trouble() -> None:
    """Most stories that fail can be told of two nodes."""
    for seed in range(SMALL):
        check(small_story(seed), play)


def test_a_loss_of_power_of_a_node_numbers_nothing_again_and_leaves_nothing_undone() -> None:
    """What its disk has lost the sink may have; what was to be undone its next life knows."""
    found = verdicts(("node_power",), count=2 * SEEDS)
    assert set(found) <= {"pass", "error", "invalid"}
    assert found["error"]


def test_whoever_stands_still_is_waited_for_or_named() -> None:
    """SIGSTOP, then SIGCONT: it goes on where it was, with old timers."""
    for kind in ("agent_pause", "broker_pause", "controller_pause"):
        assert set(verdicts((kind,))) <= {"pass", "error", "invalid"}


def test_all_kinds_of_trouble_together() -> None:
    """The rare orders of events, in a larger lab."""
    for seed in range(SEEDS):
        check(any_story(seed), play)

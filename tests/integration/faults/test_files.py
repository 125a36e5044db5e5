"""Files on their way while something dies: what comes is whole, or it is said what is not."""

import os
import signal
from pathlib import Path
from typing import Final

from tests.integration.faults.lab import PATIENT, Agent, FabricRun, Lab
from tests.integration.faults.processes import until

SIZE: Final = 60_000_000
"""Takes half a second at least, so that there is a middle."""

STEP_BYTES: Final = 5_000_000
"""Comes between two faults."""

TRIAL: Final = """
[trial]
name = "files"

[nodes]
all = "n1"

[[startup.all]]
put = { "big" = "{place}/there" }

[[collect.all]]
fetch = "{place}/there"
when  = "always"
"""


def test_files_come_whole_though_the_broker_dies_and_the_agent_hangs(lab: Lab) -> None:
    """In the middle of a put, in the middle of a fetch, and while the agent stands still."""
    content, run, place = begin(lab)
    part = lab.agents["n1"].state / "parts"
    grow(run, part)
    lab.kill_broker()
    lab.start_broker()
    brought = lab.directory / "bundles"
    grow(run, brought)
    lab.kill_broker()
    lab.start_broker()
    grow(run, brought)
    os.kill(lab.agents["n1"].pid, signal.SIGSTOP)
    run.wait_said("n1 is not reachable")
    os.kill(lab.agents["n1"].pid, signal.SIGCONT)

    assert run.wait() == 0, run.end_of_said()
    run.check_bundle()
    assert (place / "there").read_bytes() == content
    assert (run.bundle / "files/1/n1" / str(place).lstrip("/") / "there").read_bytes() == content
    assert not (run.bundle / "missing.txt").exists()
    lab.wait_free("n1")
    assert not part.exists() or not list(part.iterdir())


def test_what_a_dead_agent_had_fetched_is_kept_and_called_partial(lab: Lab) -> None:
    """Nobody may take the first half of a log for the log; that it is missing is said."""
    content, run, place = begin(lab)
    grow(run, lab.directory / "bundles")
    os.kill(lab.agents["n1"].launcher, signal.SIGKILL)  # else the next life fetches it again
    lab.agents["n1"].kill()
    lab.start_agents("n1")

    assert run.wait() == 3, run.end_of_said()
    brought = run.bundle / "files/1/n1" / str(place).lstrip("/")
    half = (brought / "there~partial").read_bytes()
    assert half
    assert content.startswith(half)
    # The run does not wait for what the next life reports of this one: it may come too late to be read.
    assert f"{place}/there\t" in (run.bundle / "missing.txt").read_text()
    run.check_bundle()
    lab.wait_free("n1")


def test_a_restarted_agent_fetches_again_what_was_cut_short(lab: Lab) -> None:
    """Its launcher has kept the steps: the run goes on, and brings the whole file."""
    lab.agents["n1"] = Agent(lab, "n1")
    lab.agents["n1"].options = PATIENT
    content, run, place = begin(lab)
    grow(run, lab.directory / "bundles")
    lab.agents["n1"].kill()
    lab.start_agents("n1")

    assert run.wait() == 0, run.end_of_said()
    brought = run.bundle / "files/1/n1" / str(place).lstrip("/")
    assert [path.name for path in brought.iterdir()] == ["there"]
    assert (brought / "there").read_bytes() == content
    assert not (run.bundle / "missing.txt").exists()
    run.check_bundle()
    lab.wait_free("n1")


def begin(lab: Lab) -> tuple[bytes, FabricRun, Path]:
    """Start a run that puts a file and fetches it again; return its bytes, and where it goes."""
    lab.start_agents("n1")
    content = os.urandom(1_000_003) * (SIZE // 1_000_003)
    (lab.directory / "big").write_bytes(content)
    place = lab.directory / "place"
    return content, lab.run(TRIAL.replace("{place}", str(place))), place


def grow(run: FabricRun, place: Path) -> None:
    """Wait until more has come, and is not all of it."""
    before = size_below(place)
    until(lambda: size_below(place) >= before + STEP_BYTES, run.end_of_said)
    assert size_below(place) < SIZE, "there was no middle: make the file larger"


def size_below(place: Path) -> int:
    """Return how much lies there."""
    total = 0
    for path in place.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # it was moved just now
    return total

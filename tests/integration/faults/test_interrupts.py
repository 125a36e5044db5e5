"""Ctrl-C once, twice, three times; TERM; a fabric-run that is killed: the nodes are cleaned up each time."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.faults.lab import FabricRun, Lab
from tests.integration.faults.processes import until

LEASE_S: Final = 2.0
"""Of the runs here, instead of 20 s."""

NODES: Final = ("n1", "n2")

TRIAL: Final = """
[trial]
name = "interrupted"
lead = "150ms"     # on a busy machine no go is aborted

[nodes]
one = "n1"
two = "n2"

[[startup.one]]
name  = "background"
spawn = "sleep 600"
until = "reset"

[[startup.one]]
spawn = "{prepare}"
until = "run"
grace = "1s"

[[startup.one]]
cmd = "{held}"

[[run.one]]
cmd   = "{run}"
grace = "1s"

[[run.two]]
cmd = "sleep {two}"

[[collect.one]]
cmd = "echo done >> {files}/collect-n1; {collect}"

[[collect.two]]
cmd = "echo done >> {files}/collect-n2"

[[reset.one]]
cmd = "{reset}; echo done >> {files}/reset-n1"

[[reset.two]]
cmd = "echo done >> {files}/reset-n2"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("interrupts"))
    try:
        made.start_broker()
        made.start_agents(*NODES)
        yield made
    finally:
        made.close()


class Interrupted:
    """A run that waits in one phase until something ends it."""

    def __init__(self, lab: Lab, stage: str, tmp_path: Path, *options: str) -> None:
        self.files = tmp_path
        wait = f"touch {tmp_path}/reached; while [ ! -e {tmp_path}/go-on ]; do sleep 0.05; done"
        stubborn = f"trap 'touch {tmp_path}/asked' TERM; {wait}"
        waits = dict.fromkeys(("held", "run", "collect", "reset"), "true") | {"prepare": "sleep 600"}
        if stage == "prepare":
            waits["held"] = f"while [ ! -e {tmp_path}/reached ]; do sleep 0.02; done"
        waits[stage] = stubborn if stage in ("prepare", "run") else wait
        two = "600" if stage == "run" else "0"
        self.run: FabricRun = lab.run(TRIAL.format(files=tmp_path, two=two, **waits), *options)
        sign = "asked" if stage == "prepare" else "reached"
        until((tmp_path / sign).exists, self.run.end_of_said)

    def count(self, what: str) -> list[int]:
        """Return how often each node has left its sign."""
        paths = [self.files / f"{what}-{node}" for node in NODES]
        return [len(path.read_text().splitlines()) if path.exists() else 0 for path in paths]


def free(lab: Lab) -> bool:
    """Say whether the nodes are of use again, and nothing runs on them."""
    return not any(lab.steps(node) for node in NODES) and all(
        node["state"] == "free" for node in lab.nodes().values()
    )


def of_run(lab: Lab, run: str) -> dict[str, Any]:
    """Return what the broker says of a run."""
    done = lab.command("runs", run, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("stage", ["prepare", "run", "collect", "reset"])
def test_one_interrupt_ends_the_phase_collects_and_resets(lab: Lab, stage: str, tmp_path: Path) -> None:
    """Wherever it comes, the run ends in order, with 130."""
    trial = Interrupted(lab, stage, tmp_path)
    trial.run.signal(signal.SIGTERM if stage == "run" else signal.SIGINT)
    if stage == "reset":
        (tmp_path / "go-on").touch()  # a reset is never cut short

    assert trial.run.wait() == 130, trial.run.said()
    assert trial.count("collect") == [1, 1]
    assert trial.count("reset") == [1, 1]
    assert trial.run.result["verdict"] == "interrupted"
    trial.run.check_bundle()
    assert free(lab)


def test_the_second_interrupt_leaves_nothing_but_the_reset(lab: Lab, tmp_path: Path) -> None:
    """The first asks the step to end, which it does not want; the second skips what was to be collected."""
    trial = Interrupted(lab, "run", tmp_path)
    trial.run.signal(signal.SIGINT)
    until((tmp_path / "asked").exists, trial.run.end_of_said)
    trial.run.signal(signal.SIGINT)

    assert trial.run.wait() == 130, trial.run.said()
    assert trial.count("collect") == [0, 0]
    assert trial.count("reset") == [1, 1]
    trial.run.check_bundle()
    assert free(lab)


@pytest.mark.parametrize(
    ("how", "stage"),
    [("leave", "prepare"), ("leave", "run"), ("leave", "reset"), ("kill", "collect")],
)
def test_who_leaves_has_the_nodes_cleaned_up_by_the_lease(
    lab: Lab, stage: str, how: str, tmp_path: Path
) -> None:
    """Three times Ctrl-C leaves at once; a kill cannot even say so.  Agents reset by themselves, once."""
    trial = Interrupted(lab, stage, tmp_path, "--lease", str(LEASE_S))
    if how == "kill":
        trial.run.end()
    else:
        # One that comes when all is done, in Python's last moments, ends it in the other way.
        assert trial.run.signal_until_over(signal.SIGINT) in (130, -signal.SIGINT)
        trial.run.check_bundle()
    if stage == "reset":
        (tmp_path / "go-on").touch()

    closed = f"run={trial.run.run} verdict=error"
    until(lambda: closed in lab.log("broker"), lambda: lab.log("broker")[-2000:])
    assert of_run(lab, trial.run.run)["verdict"] == "error"
    assert trial.count("reset") == [1, 1]
    assert free(lab)
    told = lab.command("tail", trial.run.run).stdout
    assert "the controller was lost" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_a_private_fabric_leaves_nothing_but_the_bundle(tmp_path: Path, number: int) -> None:
    """No process, no directory: neither after Ctrl-C nor after a kill of fabric-run."""
    lab = Lab(tmp_path)
    try:
        files = tmp_path / "files"
        files.mkdir()
        trial = Interrupted(lab, "run", files, "--local")
        assert len(lab.living()) > 6
        assert len(list(lab.temporary.iterdir())) == 1
        trial.run.process.send_signal(number)
        code = trial.run.wait()
        assert code == (130 if number == signal.SIGINT else -number)
        if number == signal.SIGINT:
            trial.run.check_bundle()
            assert trial.count("reset") == [1, 1]
        else:
            assert trial.run.bundle.is_dir()
    finally:
        lab.close()

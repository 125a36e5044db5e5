"""With `on_lost = "continue"` nodes are cut off in the middle of a step, for longer than their lease.

Three runs share one cut: one is *waiting* when the link heals, one has *left*, and one waits for a node that
has been *alone* for another lease, and has done its reset.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.faults.case import program_in
from tests.integration.faults.lab import Agent, FabricRun, Lab
from tests.integration.faults.network import Network, why_not
from tests.integration.faults.printing import Audit, Stream, Witness, started
from tests.integration.faults.processes import until

LINES: Final = 100
"""Of each stream, at least."""

LEASES_S: Final = {"waiting": 4.0, "left": 2.0, "alone": 2.0}
"""Of each run: shorter than the silence of 5 s after which a run hears that a node is lost."""

STREAMS: Final[tuple[Stream, ...]] = ("stdout", "stderr")

_TRIAL: Final = """
[trial]
name    = "{name}"
on_lost = "continue"

[nodes]
far = "far-{name}"

[run]
far = {{ name = "work", cmd = ["{python}", "-S", "{program}", "{files}/far", "{lines}", "on"] }}

[collect]
far = "echo done >> {files}/collect"

[reset]
far = "echo done >> {files}/reset"
"""


class Going:
    """A run whose step goes on while its node is cut off."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self.files = lab.directory / f"files-{name}"
        self.files.mkdir()
        self._lab = lab
        program = program_in(lab.directory)
        names = {"name": name, "files": self.files, "python": sys.executable, "program": program}
        lease = str(LEASES_S[name])
        self.run: FabricRun = lab.run(_TRIAL.format(lines=LINES, **names), "--lease", lease, name=name)

    def printed(self) -> int:
        """Return how many lines its step has printed by now."""
        return Witness(self.files / "far").count("stderr")

    def end_step(self) -> None:
        """Have its step print to its end; returns when it has."""
        (self.files / "far-stop").touch()
        until(lambda: Witness(self.files / "far").is_finished, f"the end of the step of {self.name}")

    def count(self, sign: str) -> int:
        """Return how often a step has left its sign."""
        path = self.files / sign
        return len(path.read_text().splitlines()) if path.exists() else 0

    def signs(self) -> dict[str, int]:
        """Return all of them."""
        return {sign: self.count(sign) for sign in ("collect", "reset")}

    def check_output(self, bundle: Path) -> None:
        """Every byte once and in order, of a step that was started once."""
        witness = Witness(self.files / "far")
        assert started(self.files / "far") == 1
        for stream in STREAMS:
            path = bundle / "out" / "1" / "run" / f"far-{self.name}" / f"work.{stream}"
            audit = Audit(stream, path.read_text().splitlines(), witness)
            assert (audit.lost, audit.doubled, audit.problem) == (0, 0, ""), stream


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if reason := why_not():
        pytest.skip(reason)
    network = Network()
    try:
        made = Lab(tmp_path_factory.mktemp("going-on"), network=network)
        try:
            made.start_broker()
            yield made
        finally:
            made.close()
    finally:
        network.close()


@pytest.fixture(scope="module")
def runs(lab: Lab) -> dict[str, Going]:
    """Cut all three, and let them come back as each of them wants it; all are over and all nodes are free."""
    network = lab.network
    assert network is not None
    for name in LEASES_S:
        lab.agents[f"far-{name}"] = far = Agent(lab, f"far-{name}")
        far.place = "victims"
    lab.start_agents(*lab.agents)
    runs = {name: Going(lab, name) for name in LEASES_S}
    for one in runs.values():
        until(lambda one=one: one.printed() > 0, one.run.end_of_said)  # type: ignore[misc]
    network.cut("victims", "both")
    for one in runs.values():
        one.run.wait_said("what runs there goes on (on_lost)")
    printed = {name: one.printed() for name, one in runs.items()}
    runs["left"].run.signal_until_over(signal.SIGINT)
    for name in ("left", "alone"):
        runs[name].end_step()
        until(lambda name=name: runs[name].count("reset") == 1, "a reset")  # type: ignore[misc]
    assert all(one.printed() > printed[name] for name, one in runs.items())
    runs["waiting"].end_step()
    network.heal("victims")
    for one in runs.values():
        one.run.wait()
    lab.wait_free(*lab.agents)
    lab.bundles([one.run.run for one in runs.values()], lab.directory / "again")
    return runs


def _told(run: FabricRun) -> tuple[str, list[str]]:
    return run.result["verdict"], run.result["why"]


def test_a_run_that_waits_goes_on_as_if_nothing_had_been(runs: dict[str, Going]) -> None:
    """The cut was longer than the lease; the phase waits, and the node takes part in the next ones."""
    one = runs["waiting"]
    assert (one.run.wait(), _told(one.run)) == (0, ("pass", [])), one.run.said()
    assert one.signs() == {"collect": 1, "reset": 1}
    one.run.check_bundle()
    one.check_output(one.run.bundle)


def test_a_run_that_was_left_has_all_results_when_the_network_is_back(
    lab: Lab, runs: dict[str, Going]
) -> None:
    """Nobody waits for them any more: the node resets alone, and what it reports is stored with its run."""
    one = runs["left"]
    again = lab.directory / "again" / one.run.run
    assert one.run.wait() == 130, one.run.said()
    one.check_output(again)
    assert one.signs() == {"collect": 0, "reset": 1}


def test_a_node_that_was_alone_for_another_lease_is_not_waited_for(lab: Lab, runs: dict[str, Going]) -> None:
    """It has undone everything, so it takes no part in the next phase; what its step did is kept."""
    one = runs["alone"]
    assert one.run.wait() == 3, one.run.said()
    verdict, (why,) = _told(one.run)
    # Its records and its word come by two sockets: the end of the phase may be read before the node is back.
    cut = "far-alone was cut off for so long that it ended its part of the run ("
    left = "far-alone has left the run before its end ("
    assert verdict == "error"
    assert why.startswith((cut, left))
    one.check_output(lab.directory / "again" / one.run.run)
    assert one.signs() == {"collect": 0, "reset": 1}

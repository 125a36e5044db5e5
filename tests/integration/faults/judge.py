"""Whether what is promised was kept in a cell of the matrix: each breach in words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.integration.faults.case import Case, digest_of
from tests.integration.faults.cells import PHASES, Cell, Expected, expected
from tests.integration.faults.printing import Audit, Pieces, Stream, Witness, started
from tests.integration.faults.processes import describe, until

STREAMS: Final[tuple[Stream, ...]] = ("stdout", "stderr")


@dataclass
class Outcome:
    """What became of a cell."""

    cell: Cell
    verdict: str = "none"
    why: str = ""
    seconds: float = 0.0  # from the fault to the end of the run
    skew_s: float = 0.0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)


class Judge:
    """Looks at one case, when its run is over and its nodes are back."""

    def __init__(self, case: Case, outcome: Outcome) -> None:
        self.case = case
        self._cell = case.cell
        self.outcome = outcome
        self._wanted: Expected = expected(case.cell, case.victim.name)
        self._nodes = {"victim": case.victim.name, "other": case.other.name}
        # What a node reports when its run is over is stored, but the bundle is written by then.
        self._is_late = case.cell.victim == "agent" and self._wanted.verdict != "pass"

    @property
    def needs_again(self) -> bool:
        """Whether all that was stored is only in a bundle that is made when all is over."""
        return self._is_late or self._cell[:2] == ("controller", "kill")

    def judge(self, digest: str) -> None:
        """Note every breach; ``digest`` is that of the file that is fetched."""
        case, bundle = self.case, self.case.run.bundle
        if self._cell[:2] != ("controller", "kill"):
            self._try(case.run.check_bundle)
            self._output(bundle, whole=not self._is_late)
        if self.needs_again:
            bundle = case.lab.directory / "again" / case.run_id
            self._output(bundle, whole=True)
        if (bundle / "result.json").exists():
            self._verdict(json.loads((bundle / "result.json").read_text()))
        for tail in case.tails:
            self.shown(tail.events())
        self._signs()
        if self._cell.stage == "fetch":
            self._fetched(bundle, digest)
        self._try(self._no_process)

    def shown(self, events: Sequence[dict[str, Any]]) -> None:
        """Hold what a tail has shown of the run against what was printed."""
        pieces = {(node, stream): Pieces(stream) for node in self._nodes.values() for stream in STREAMS}
        for event in events:
            if event["type"] == "output" and event["step"].startswith("work-"):
                one = pieces[event["node"], event["stream"]]
                one.take(event["offset"], event["size"], event["text"])
        for role, node in self._nodes.items():
            for stream in STREAMS:
                one = pieces[node, stream]
                problem = one.finish(Witness(self.case.files / role), whole=not self._is_late)
                self.outcome.lost += one.lost_bytes
                self.outcome.doubled += one.doubled_bytes
                self._demand(not problem, f"{stream} of {role} in a tail: {problem}")

    def state(self, state: str) -> None:
        """Note how the node stands when all is over."""
        self._demand(
            state == self._wanted.state, f"{self.case.victim.name} is {state}, not {self._wanted.state}"
        )

    # --- parts ------------------------------------------------------------------------------------------

    def _output(self, bundle: Path, *, whole: bool) -> None:
        for role, node in self._nodes.items():
            for stream in STREAMS:
                path = bundle / "out" / "1" / "run" / node / f"work-{role}.{stream}"
                text = path.read_text(errors="replace") if path.exists() else ""
                self._audit(f"{stream} of {role} in the bundle", role, stream, text.splitlines(), whole=whole)

    def _audit(self, what: str, role: str, stream: Stream, lines: list[str], *, whole: bool) -> None:
        audit = Audit(stream, lines, Witness(self.case.files / role), whole=whole)
        self.outcome.lost += audit.lost
        self.outcome.doubled += audit.doubled
        self._demand(not audit.problem, f"{what}: {audit.problem}")

    def _verdict(self, result: dict[str, Any]) -> None:
        wanted, outcome = self._wanted, self.outcome
        whys = result["why"]
        outcome.verdict, outcome.why = result["verdict"], whys[0] if whys else ""
        outcome.skew_s = max((phase["skew_s"] or 0.0 for phase in result["phases"]), default=0.0)
        self._demand(
            result["verdict"] in wanted.verdict.split(" or "),
            f"{result['verdict']}, not {wanted.verdict}: {whys}",
        )
        named = [why for why in whys if wanted.names in why]
        self._demand(
            not wanted.names or bool(named) or result["verdict"] == "pass",
            f"nothing names {wanted.names}: {whys}",
        )
        if self._cell.is_of_a_node and named:
            phase = PHASES[self._cell.stage]
            words = (phase, f"{phase[2:]}/victim")
            self._demand(
                any(word in why for why in named for word in words), f"nothing names {phase}: {named}"
            )

    def _signs(self) -> None:
        """Each step started once at most, each reset done once."""
        case, survived = self.case, self._wanted.verdict == "pass"
        for role in self._nodes:
            count = started(case.files / role)
            self._demand(
                count == 1 if survived else count <= 1, f"the step of {role} was started {count} times"
            )
        resets = {"victim": self._wanted.resets, "other": 1}
        for role, wanted in resets.items():
            count = case.count(f"reset-{role}")
            self._demand(count == wanted, f"the reset of {role} was done {count} times, not {wanted}")
        collected = case.count("collect-other")
        is_led = self._cell.victim != "controller" or survived
        wanted = int(case.collects)
        is_so = collected == wanted if is_led else collected <= wanted
        self._demand(is_so, f"collected {collected} times")

    def _fetched(self, bundle: Path, digest: str) -> None:
        """All of the file, or a part that is called so."""
        below = bundle / "files/1" / self.case.victim.name / str(self.case.big).lstrip("/")
        if below.exists():
            self._demand(digest_of(below) == digest, "the fetched file is not what was on the node")
            return
        self._demand(self._wanted.verdict != "pass", "the file was not fetched")
        missing = bundle / "missing.txt"
        named = missing.exists() and str(self.case.big) in missing.read_text()
        self._demand(named, "missing.txt does not name the file")
        part = below.with_name(below.name + "~partial")
        if part.exists():
            size = part.stat().st_size
            with self.case.big.open("rb") as whole:
                self._demand(part.read_bytes() == whole.read(size), "the part of the file is another file's")

    def _no_process(self) -> None:
        for node in self._nodes.values():
            left = self.case.lab.steps(node)
            until(
                lambda node=node: not self.case.lab.steps(node), f"the end of {[*map(describe, left)]}", 10.0
            )  # type: ignore[misc]

    def _demand(self, is_so: bool, problem: str) -> None:
        if not is_so:
            self.outcome.problems.append(problem)

    def _try(self, check: Any) -> None:
        try:
            check()
        except AssertionError as error:
            self.outcome.problems.append(str(error) or repr(error))

"""Finds out what a run that was interrupted has left to do, and reads what it has done."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final

from fabric.controller.connection import Connection
from fabric.controller.entry import Read
from fabric.controller.finding import pause
from fabric.controller.lookup import find_run, list_runs
from fabric.controller.plan import RunPlan
from fabric.controller.puts import Puts
from fabric.controller.tail import RunTail
from fabric.controller.takeover import Source, Survey, sources_of, taken
from fabric.controller.upkeep import document
from fabric.errors import FabricError, UsageError
from fabric.protocol.messages import RunInfo
from fabric.trial.cells import Cell, schedule, set_variables
from fabric.trial.model import Trial

LOOK_NS: Final = 500_000_000
"""Between two looks at a run that is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A run that is continued: with its trial, its choices, and what it has done."""

    run: str
    trial: Trial  # as it was run: with other values for variables, and other nodes for roles
    phases: tuple[str, ...]  # the reset last
    repeats: int
    cells: tuple[Cell, ...]
    seed: int
    picks: Mapping[str, tuple[str, ...]]
    """Nodes of the roles that have the same ones in all cells."""
    files: Mapping[tuple[str, str, str], dict[str, str]]
    """By phase, role and step: SHA-256 of what it put, by path."""
    sources: tuple[Source, ...]

    def check_files(self, puts: Puts) -> None:
        """Refuse to go on with other files than those that the results are of.

        Raises:
            UsageError: If one was changed, added or removed.
        """
        for (phase, role, label), files in puts.items():
            now = {file.path: file.sha256 for file in files}
            then = self.files.get((phase, role, label), {})
            changed = sorted(path for path in now.keys() | then.keys() if now.get(path) != then.get(path))
            if changed:
                more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
                raise UsageError(
                    f"{phase}/{role} step {label} puts `{changed[0]}`{more}, "
                    f"which is not what it was in run {self.run}",
                    hint="results of both would be mixed: put back what was there, or run the trial anew",
                )


def find_resumption(
    connection: Connection,
    name: str,
    open_trial: Callable[[str], Trial],
    directory: Path,
    *,
    patience_s: float,
    tell: Callable[[str], None],
) -> Resumption:
    """Return what is to be continued; reads all that the run has reported.

    Args:
        connection: To the broker.
        name: Of the run: its id, the beginning of it, or ``latest``.
        open_trial: Reads the trial file; is given the path that the run had it from.
        directory: Of bundles: a plan that is too long for the broker is looked for there.
        patience_s: How long to wait for the broker to end a run that has no controller any more.
        tell: Is called with what is waited for.

    Raises:
        UsageError: If there is no such run, or it cannot be continued.
        FabricError: If it cannot be read.
    """
    info = _closed(connection, find_run(connection, name), patience_s, tell)
    described = _plan(connection, info.run, directory)
    told = described.get("trial") or {}
    trial = set_variables(open_trial(str(told.get("file") or "")), described.get("set") or ())
    _check_text(trial, document(connection, info.run, "trial"), info.run)
    specs = {role: tuple(texts) for role, texts in described["specs"].items()}
    trial = replace(trial, roles=specs)
    cells = tuple(Cell(entry["cell"], entry["variables"]) for entry in described["cells"])
    phases, repeats = tuple(described["phases"]), int(described["repeats"])
    planned = schedule(trial, cells, repeats, described["seed"], phases)
    before = sources_of(described)
    survey = Survey()
    for read in records(connection, info, skim=True):
        survey.take(read.record)
    sources = taken((*before, Source(info.run, frozenset(survey.found))), planned)
    done = sum(len(source.repeats) for source in sources)
    if done == len(planned):
        raise UsageError(
            f"run {info.run} has the results of all its {done} repeats: nothing is left to do",
            hint=f"`fabric runs bundle {info.run}` writes them, and the trial can be run anew",
        )
    tell(f"run {info.run} has the results of {done} of its {len(planned)} repeats")
    return Resumption(
        run=info.run,
        trial=trial,
        phases=phases,
        repeats=repeats,
        cells=cells,
        seed=int(described["seed"]),
        picks={role: tuple(nodes) for role, nodes in described["roles"].items()},
        files={
            (step["phase"], step["role"], step["step"]): dict(step.get("files") or ())
            for step in described["steps"]
        },
        sources=sources or (Source(info.run, frozenset()),),
    )


def records(connection: Connection, info: RunInfo, *, skim: bool = False) -> Iterator[Read]:
    """Yield all that is stored of a run; without the bytes of its output if it is only skimmed.

    Raises:
        FabricError: If it cannot be read.
    """
    tail = RunTail(connection, info, skim=skim)
    while not tail.done:
        yield from tail.turn()


def taken_over(connection: Connection, sources: Sequence[Source]) -> Iterator[tuple[str, Read]]:
    """Yield the records of the repeats that are taken over, each with the run that has it.

    Raises:
        FabricError: If a run is not in the store any more.
    """
    for source in sources:
        if not source.repeats:
            continue
        info = next((info for info in list_runs(connection, source.run) if info.run == source.run), None)
        if info is None:
            raise FabricError(
                f"run {source.run} is not in the store any more, and with it the results that are taken over",
                hint="its bundle has them; without it run the trial anew",
            )
        for read in records(connection, info):
            if source.has(read.record):
                yield source.run, read


def describe(plan: RunPlan) -> str:
    """Return what is to be said of a run that continues another."""
    last, done = plan.resumes[-1].run, len(plan.repeats) - len(plan.remaining)
    return f"resumes run {last}: {done} of {len(plan.repeats)} repeats have their results"


def _closed(connection: Connection, info: RunInfo, patience_s: float, tell: Callable[[str], None]) -> RunInfo:
    """Wait until the broker has ended a run that has no controller any more; return the run as it is then.

    Raises:
        UsageError: If its controller lives.
        FabricError: If the broker does not end it in time.
    """
    heard_ns, until_ns = info.heard_ns, connection.now_ns() + round(patience_s * 1e9)
    told = False
    while info.state == "open":
        if info.heard_ns != heard_ns:
            raise UsageError(
                f"run {info.run} goes on: its controller was heard of just now",
                hint="end it there with Ctrl-C, or wait for its end; `fabric-tail` shows it",
            )
        if not told and heard_ns < connection.fabric_ns() - 4 * LOOK_NS:
            tell(f"waiting for the broker to end run {info.run}, whose controller is away")
            told = True
        if connection.now_ns() >= until_ns:
            raise FabricError(
                f"run {info.run} was not ended by the broker within {patience_s:g} s",
                hint="its nodes may still reset, or be away: `fabric nodes`; --patience waits longer",
            )
        pause(connection, LOOK_NS)
        info = find_run(connection, info.run)
    return info


def _plan(connection: Connection, run: str, directory: Path) -> dict[str, Any]:
    """Return the whole plan of a run.

    Raises:
        UsageError: If it is a command, or longer than what the broker keeps and not in its bundle.
    """
    text = document(connection, run, "plan")
    found: dict[str, Any] = json.loads(text) if text else {}
    if "complete" in found:
        path = directory / run / "plan.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UsageError(
                f"the plan of run {run} is longer than what the broker keeps, and {path} cannot be read",
                hint="say with -o where the bundle of that run is",
            ) from None
    if "set" not in found or "specs" not in found:
        raise UsageError(
            f"run {run} cannot be resumed: it executed a command, or is of an older version",
            hint="`fabric runs` lists the runs",
        )
    return found


def _check_text(trial: Trial, stored: str, run: str) -> None:
    """Refuse another trial than the one that the results are of.

    Raises:
        UsageError: If it is.
    """
    if trial.text == stored:
        return
    lines = unified_diff(stored.splitlines(), trial.text.splitlines(), lineterm="", n=0)
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    first = f", first `{changed[0]:.80}`" if changed else ""
    raise UsageError(
        f"{trial.path} is not the trial of run {run}: {len(changed) or 'some'} lines differ{first}",
        hint=f"results of both would be mixed; name the right file: fabric-run --resume {run} TRIAL",
    )

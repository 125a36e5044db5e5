"""One call that runs a trial: find the nodes, carry it out, leave the bundle, return the verdict."""

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from fabric.controller.connection import Connection
from fabric.controller.document import plan_document, plan_text
from fabric.controller.entry import Read
from fabric.controller.finding import LATE, NO_PICKS, Wait, find_nodes, pause, races
from fabric.controller.local import LocalFabric
from fabric.controller.lookup import list_nodes
from fabric.controller.measures import Measured
from fabric.controller.measuring import measure
from fabric.controller.outcome import result_of, result_text
from fabric.controller.plan import RunPlan, make_plan
from fabric.controller.policies import policy_notes
from fabric.controller.resuming import Resumption, describe, taken_over
from fabric.controller.retelling import Retelling
from fabric.controller.run import Run
from fabric.controller.runid import new_run_id
from fabric.controller.session import Session
from fabric.controller.sizes import check_sizes
from fabric.controller.sources import Sources, find_sources
from fabric.controller.takeover import Survey
from fabric.controller.verdict import EXIT_CODES, Verdict
from fabric.errors import FabricError, UsageError
from fabric.keys import OperatorAccess, find_operator_access
from fabric.protocol.limits import LEASE_S
from fabric.protocol.records import StepFinished
from fabric.report.bundle import BundleWriter
from fabric.report.fold import folded
from fabric.trial.cells import Cell, cells_of
from fabric.trial.localnodes import local_nodes
from fabric.trial.model import Trial
from fabric.trial.secrets import secrets_of

NODES_S: Final = 30.0
NODE_S: Final = 1.0
"""A private fabric's agents have joined by then, with so much more for each: 64 of them take 20 s on two
cores that have nothing else to do, nearly all of it for importing their modules."""

MAX_SEED: Final = 1 << 31
"""A seed that is drawn is below this, so that it can be typed."""

POLL_NS: Final = 20_000_000
"""Between two looks for the agents of a private fabric."""


class Show(Protocol):
    """Shows a run to its user.  It never waits, or the run would."""

    @property
    def deadline_ns(self) -> int | None:
        """When to call it though nothing was read, on this machine's monotonic clock."""

    def begun(self, run: str, bundle: Path) -> None:
        """Take the run's id, and where its bundle will be."""

    def __call__(self, reads: Sequence[Read], now_ns: int) -> None:
        """Take records as they are read (perhaps none), and the instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run a trial."""

    broker: str | None = None
    local: LocalFabric | None = None  # a private one, instead of a broker
    phases: tuple[str, ...] = ()  # without the reset; empty: all
    repeats: int | None = None
    wait: Wait = field(default_factory=Wait)  # for nodes that are in use
    only: tuple[str, ...] = ()  # cells of the matrix, as `cells_of` takes them
    directory: Path = field(default_factory=lambda: Path("runs"))
    patience_s: float = 60.0
    lease_s: float = LEASE_S
    resumes: Resumption | None = None
    """What is continued; then cells, repeats and seed are its own."""
    secrets: Callable[[Iterable[str]], Mapping[str, str]] | None = None
    """Returns the values of secrets by their names; raises UsageError.  None: there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    run: str
    verdict: Verdict
    whys: tuple[str, ...]
    bundle: Path | None  # None: nothing was started
    result: Mapping[str, Any]
    was_late: bool = False
    """Between the look for the nodes and their reservation one was taken, or the broker started anew."""
    left: int = 0
    """Repeats that have no result, of a run with several of which at least one has it."""

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES[self.verdict]


def run_trial(trial: Trial, phases: tuple[str, ...], options: Options, show: Show) -> Outcome:
    """Run a trial to its verdict.

    Args:
        trial: As read, with the nodes that it is to run on.
        phases: That are done, in order, without the reset.
        options: How.
        show: Is given what is read.

    Raises:
        FabricError: If it could not be begun: no broker, no key, no place for the bundle.
    """
    with ExitStack() as stack:
        stack.enter_context(_place(options.directory))
        sources = find_sources(trial)
        cells = cells_of(trial, options.only) if options.resumes is None else options.resumes.cells
        if options.resumes is not None:
            options.resumes.check_files(sources.puts)
        values = _secrets(trial, options)
        connection = Connection(
            _access(trial, cells, options),
            program="fabric-run",
            patience_s=options.patience_s,
            break_patience_s=options.patience_s,
        )
        stack.callback(connection.close)
        connection.wait_up()
        for wait in races(connection, options.wait):
            plan = _plan(connection, trial, cells, phases, replace(options, wait=wait))
            plan.puts, plan.secrets = sources.puts, values
            check_sizes(plan)
            outcome = _carry_out(connection, plan, sources, options, show)
            if not outcome.was_late:
                break
        return outcome


def _secrets(trial: Trial, options: Options) -> Mapping[str, str]:
    """Return the values of the secrets that the trial wants; before anything is started.

    Raises:
        UsageError: If one cannot be had.
    """
    names = secrets_of(trial)
    if names and options.secrets is None:
        raise UsageError(f"{trial.path} wants secrets ({', '.join(names)}), and nobody has any")
    return options.secrets(names) if names and options.secrets is not None else {}


def _plan(
    connection: Connection, trial: Trial, cells: Sequence[Cell], phases: Sequence[str], options: Options
) -> RunPlan:
    seed, resumes = secrets.randbelow(MAX_SEED) if trial.seed is None else trial.seed, options.resumes
    if resumes is not None:
        seed = resumes.seed
    picks = NO_PICKS if resumes is None else resumes.picks
    found, nodes = find_nodes(connection, trial, cells, seed, options.wait, picks=picks)
    plan = make_plan(
        trial,
        cells,
        found,
        {info.name: info.addresses for info in nodes},
        phases=(*phases, trial.phases[-1]),
        repeats=resumes.repeats if resumes is not None else options.repeats or trial.repeat,
        seed=seed,
    )
    plan.known = {info.name: info for info in nodes}
    plan.notes += policy_notes(plan, {info.name: info.facts for info in nodes})
    if resumes is not None:
        plan.resumes = resumes.sources
        plan.notes = (describe(plan), *plan.notes)
    return plan


@contextmanager
def _place(directory: Path) -> Iterator[None]:
    """Make the directory of the bundles before anything is started; take it away if it stays empty.

    Raises:
        UsageError: If it cannot be made.
    """
    is_new = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the directory for bundles {directory}: {error.strerror}",
            hint="name another one with -o",
        ) from None
    try:
        yield
    finally:
        if is_new:
            with suppress(OSError):  # it has a bundle in it
                directory.rmdir()


def _access(trial: Trial, cells: Sequence[Cell], options: Options) -> OperatorAccess:
    if options.local is None:
        return find_operator_access(options.broker)
    fabric, nodes = options.local, local_nodes(trial, cells)
    access = fabric.start(nodes, trial.network)
    _await_nodes(access, tuple(nodes), fabric)
    return access


def _await_nodes(access: OperatorAccess, nodes: Sequence[str], fabric: LocalFabric) -> None:
    """Wait until every agent of a private fabric has joined.

    Raises:
        FabricError: If one has died, or has not come in time.
    """
    connection = Connection(access, program="fabric-run")
    try:
        connection.wait_up()
        limit_s = NODES_S + NODE_S * len(nodes)
        until_ns = connection.now_ns() + round(limit_s * 1e9)
        while missing := set(nodes) - {info.name for info in list_nodes(connection) if info.state == "free"}:
            if dead := fabric.dead():
                raise FabricError(dead)
            if connection.now_ns() > until_ns:
                late = folded(missing)
                raise FabricError(f"local agents have not joined within {limit_s:.0f} s: {late}")
            pause(connection, POLL_NS)
    finally:
        connection.close()


def _carry_out(
    connection: Connection, plan: RunPlan, sources: Sources, options: Options, show: Show
) -> Outcome:
    document = plan_document(plan)
    made = _Result()
    run = Run(
        run=new_run_id(plan.trial.name, time.time()),
        plan=plan,
        lease_s=options.lease_s,
        document=plan_text(document),
        result=made.text,
    )
    writer = _Writer(options.directory / run.run, run, document, show)
    show.begun(run.run, options.directory / run.run)
    try:
        writer.take_over(connection)
        Session(connection, run, writer.take, lambda: show.deadline_ns, files=sources.files).serve()
        directory, result = writer.finish(made.of(run))
    finally:
        writer.close()
    return Outcome(
        run=run.run,
        verdict=run.findings.verdict,
        whys=run.findings.whys,
        bundle=directory,
        result=result,
        was_late=run.denied in LATE,
        left=writer.left,
    )


class _Result:
    """The result of a run: what is stored at its end is what the bundle has, made once for both."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def text(self, run: Run) -> str:
        """Return it as the broker keeps it."""
        self._made = result_of(run)
        return result_text(self._made)

    def of(self, run: Run) -> dict[str, Any]:
        """Return it; made again if something was found since, such as that the broker is away."""
        known = self._made.get("why") == list(run.findings.whys)
        return self._made if known else result_of(run)


class _Writer:
    """The bundle of a run, made when its nodes are reserved; a run that was denied leaves nothing."""

    def __init__(self, directory: Path, run: Run, document: Mapping[str, Any], show: Show) -> None:
        self._directory = directory
        self._run = run
        self._document = document
        self._show = show
        self._bundle: BundleWriter | None = None
        self._broken = False
        self._survey = Survey()

    @property
    def left(self) -> int:
        """How many repeats have no result; 0 where none has one: the run can as well be begun anew."""
        plan, done = self._run.plan, self._survey.found
        left = sum((repeat.cell.number, repeat.number) not in done for repeat in plan.remaining)
        return left if self._run.nodes and left < len(plan.repeats) else 0

    def take_over(self, connection: Connection) -> None:
        """Have the run and its bundle begin with what it takes over, if it continues others."""
        plan = self._run.plan
        if not plan.resumes:
            return
        told = Retelling(self._run.run, plan, {})
        for run, read in taken_over(connection, plan.resumes):
            if told.read(read, is_own=False):
                self._open().write(read, run)
        told.take_over(self._run.desk)

    def take(self, reads: Sequence[Read], now_ns: int) -> list[Measured]:
        """Show records, and write them; return the metrics of the steps that have ended."""
        self._show(reads, now_ns)
        for read in reads:
            self._survey.take(read.record)
        if self._broken or not self._run.nodes:
            return []
        try:
            for read in reads:
                self._open().write(read)
            if reads:
                self._open().flush()
                for unfit in self._open().take_unfit():
                    self._run.findings.add("error", unfit)
            ends = [(read.node, read.record) for read in reads if isinstance(read.record, StepFinished)]
            return [measured for node, end in ends for measured in self._measure(node, end)]
        except FabricError:
            self._broken = True
            raise

    def _measure(self, node: str, end: StepFinished) -> Iterator[Measured]:
        step, resolved = self._run.plan.source(end.step), self._run.plan.resolved(end.step, node)
        if step is not None and resolved is not None:
            yield from measure(self._open(), node, end, step, resolved)

    def finish(self, result: Mapping[str, Any]) -> tuple[Path | None, Mapping[str, Any]]:
        """Complete the bundle; return its directory, and the result as it stands there."""
        if not self._run.nodes:
            self.close()
            return None, result
        if not self._broken:
            result = self._open().finish(result)
        return self._directory if self._directory.exists() else None, result

    def close(self) -> None:
        """Leave the bundle as it is; one of a run that was denied goes, whatever it has taken over."""
        if self._bundle is None:
            return
        self._bundle.close()
        if not self._run.nodes:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _open(self) -> BundleWriter:
        if self._bundle is None:
            self._bundle = BundleWriter(self._directory)
            plan = json.dumps(self._document, indent=2) + "\n"
            trial = self._run.plan.trial
            self._bundle.write_inputs(trial.text, plan, trial.files)
        return self._bundle

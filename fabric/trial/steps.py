"""Checks steps, each by itself and against the others, and fills in their defaults."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any, Final

from fabric.protocol.limits import STEP_TIMEOUT_S
from fabric.trial.keys import STEP_KEYS, split_keys
from fabric.trial.layout import RawStep
from fabric.trial.metrics import read_metrics
from fabric.trial.model import ReadyCondition, TrialStep, Verb
from fabric.trial.modifiers import check_cycle, check_modifiers, until_of
from fabric.trial.positions import Path
from fabric.trial.problems import Problems
from fabric.trial.reading import read_table
from fabric.trial.references import ReferenceChecker
from fabric.trial.settings import Order
from fabric.trial.stops import check_stops
from fabric.trial.tables import LimitsTable, ReadyTable, StepTable
from fabric.trial.transfers import Look, check_sources
from fabric.trial.vocabulary import LATER_STEP_KEYS, LATER_VERBS, VERBS

MIN_MEMORY_BYTES: Final = 1 << 20
"""With less, not even exec succeeds."""


def read_steps(
    found: Sequence[RawStep],
    nodes: Mapping[str, tuple[str, ...]],
    order: Order,
    references: ReferenceChecker,
    *,
    look: Look | None,
    problems: Problems,
) -> tuple[TrialStep, ...]:
    """Return the steps of a trial; those that are wrong are noted and left out.

    Args:
        found: As they were found, phase by phase.
        nodes: Those of every role.
        order: The phases.
        references: Knows the variables.
        look: Says whether files are there that a put takes; None: not to be looked at.
        problems: Where to note.
    """
    _check_labels(found, problems)
    for raw in found:
        references.check(raw.where, raw.table)
        if look is not None:
            check_sources(raw.where, raw.table, look, problems)
    stopped = check_stops(found, nodes, order, problems)
    for raw in found:
        if "spawn" in raw.table and order.after(raw.phase):
            check_cycle(raw, order, stopped, problems)
    steps = [_read_step(raw, order, problems) for raw in found]
    return tuple(step for step in steps if step is not None)


def _check_labels(steps: Iterable[RawStep], problems: Problems) -> None:
    """Names of steps are names of files, so they are unique in a phase, over all roles."""
    first: dict[tuple[str, str], RawStep] = {}
    for step in steps:
        other = first.setdefault((step.phase, step.label), step)
        if other is not step:
            line = problems.positions.key(other.where).line
            message = f"the step on line {line} is called `{step.label}` too"
            hint = "give each step of a phase a name of its own"
            problems.at_value((*step.where, "name"), "E036", message, hint)


def _read_step(raw: RawStep, order: Order, problems: Problems) -> TrialStep | None:
    known, others = split_keys(raw.table, raw.where, STEP_KEYS, LATER_STEP_KEYS, problems)
    verb = _verb(raw, known, others, problems)
    if verb is not None:
        check_modifiers(raw, verb, order, problems)
    table = read_table(StepTable, known, raw.where, problems)
    if table is None or verb is None:
        return None
    stdin = table.stdin
    return TrialStep(
        phase=raw.phase,
        role=raw.role,
        label=raw.label,
        line=problems.positions.key(raw.where).line,
        verb=verb,
        argv=table.cmd or table.spawn or (),
        env=table.env,
        dir=table.dir,
        timeout_s=(table.timeout or STEP_TIMEOUT_S) if verb in ("cmd", "put", "fetch") else None,
        at_s=table.at,
        until=until_of(raw.phase, table.until, order) if verb == "spawn" else None,
        ok=tuple(table.ok),
        on_fail=table.on_fail,
        when=table.when or ("always" if raw.phase == order.phases[-1] else "passed"),
        signal=table.signal,
        grace_s=table.grace,
        spread_s=table.spread or 0.0,
        attempts=table.retries + 1,
        retry_on=table.retry_on,
        may_exit=table.may_exit,
        ready=_ready(table.ready),
        user=table.user or "",
        pty=table.pty,
        stdin=stdin if isinstance(stdin, str) else None,
        stdin_file=stdin["file"] if isinstance(stdin, dict) else "",
        limits=_limits((*raw.where, "limits"), table.limits, problems),
        output=table.output,
        put=table.put or (),
        fetch=table.fetch or (),
        stop=table.stop or "",
        wait_s=table.wait or 0.0,
        metrics=read_metrics(raw.where, table.metric, problems),
    )


def _verb(raw: RawStep, known: dict[str, Any], others: list[str], problems: Problems) -> Verb | None:
    """Return the step's verb, or None after noting why it has none.

    A value that this version does not support is taken out of the ``known`` ones, for it is noted already.
    """
    verbs = [key for key in raw.table if key in VERBS or key in LATER_VERBS]
    wait = raw.table.get("wait")
    if len(verbs) > 1:
        both = " and ".join(f"`{verb}`" for verb in verbs)
        hint = "write a step for each, one after another"
        message = f"a step does one thing, this one has {both}"
        problems.at_key((*raw.where, verbs[1]), "E017", message, hint)
    elif verbs == ["wait"] and (isinstance(wait, dict) or _names_a_signal(wait)):
        message = "waiting for a signal is not supported by this version"
        hint = 'wait for a duration, wait = "5s", or for a file: cmd = "until test -e go; do sleep 0.1; done"'
        problems.at_value((*raw.where, "wait"), "E014", message, hint)
        del known["wait"]
    elif not verbs and "signal" in raw.table:
        message = "sending a signal is not supported by this version"
        hint = "`signal` says how a step is ended; end it by a stop, or send one from a cmd"
        problems.at_key((*raw.where, "signal"), "E014", message, hint)
    elif not verbs and not others:  # an unknown key may well be the verb, and is an error already
        hint = f"it needs one of {', '.join(VERBS)}"
        problems.at_key(raw.where, "E017", "the step does nothing", hint)
    return next((verb for verb in VERBS if verbs == [verb]), None)


def _names_a_signal(wait: Any) -> bool:
    return isinstance(wait, str) and wait.upper().startswith("SIG")


def _ready(table: ReadyTable | None) -> ReadyCondition | None:
    if table is None:
        return None
    return ReadyCondition(
        port=table.port,
        log=table.log or "",
        cmd=table.cmd or (),
        file=table.file or "",
        within_s=table.within,
    )


def _limits(where: Path, table: LimitsTable, problems: Problems) -> dict[str, int]:
    """Return the limits that are set, in bytes, seconds or numbers."""
    found = {key: value for key, value in table.model_dump().items() if value is not None}
    if "memory" in found and found["memory"] < MIN_MEMORY_BYTES:
        hint = f"at least {MIN_MEMORY_BYTES >> 20} MiB"
        problems.at_value((*where, "memory"), "E018", "`memory` is too little for any program", hint)
    return {key: ceil(value) for key, value in found.items()}

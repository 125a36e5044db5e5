"""Checks steps, each by itself and against the others, and fills in their defaults."""

from collections.abc import Iterable, Mapping
from typing import Any

from fabric.protocol.limits import STEP_TIMEOUT_S
from fabric.trial.keys import STEP_KEYS, split_keys
from fabric.trial.layout import RawStep, find_steps
from fabric.trial.model import TrialStep, Verb
from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.references import ReferenceChecker
from fabric.trial.tables import StepTable, read_table
from fabric.trial.vocabulary import LATER_STEP_KEYS, LATER_VERBS, PHASES, VERBS, variables_of


def read_steps(
    document: Mapping[str, Any], roles: tuple[str, ...], problems: Problems
) -> tuple[TrialStep, ...]:
    """Return the steps of all phases, phase by phase; those that are wrong are noted and left out."""
    found = find_steps(document, roles, problems)
    _check_labels(found, problems)
    references = ReferenceChecker(variables_of(roles), problems)
    for raw in found:
        references.check(raw.where, raw.table)
    steps = [_read_step(raw, problems) for raw in found]
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


def _read_step(raw: RawStep, problems: Problems) -> TrialStep | None:
    known, others = split_keys(raw.table, raw.where, STEP_KEYS, LATER_STEP_KEYS, problems)
    verb = _verb(raw, others, problems)
    if verb == "cmd":
        _check_cmd(raw.where, known, problems)
    if verb == "spawn":
        _check_spawn(raw.phase, raw.where, known, problems)
    table = read_table(StepTable, known, raw.where, problems)
    if table is None or verb is None:
        return None
    is_cmd = verb == "cmd"
    return TrialStep(
        phase=raw.phase,
        role=raw.role,
        label=raw.label,
        line=problems.positions.key(raw.where).line,
        verb=verb,
        argv=(table.cmd if is_cmd else table.spawn) or (),
        env=table.env,
        dir=table.dir,
        timeout_s=(table.timeout or STEP_TIMEOUT_S) if is_cmd else None,
        at_s=table.at,
        until=None if is_cmd else table.until or _default_until(raw.phase),
        ok=tuple(table.ok),
        on_fail=table.on_fail,
        when=table.when or ("always" if raw.phase == "reset" else "passed"),
        signal=table.signal,
        grace_s=table.grace or 0.0,
    )


def _verb(raw: RawStep, others: list[str], problems: Problems) -> Verb | None:
    """Return the step's verb, or None after noting why it has none."""
    verbs = [key for key in raw.table if key in VERBS or key in LATER_VERBS]
    if len(verbs) > 1:
        both = " and ".join(f"`{verb}`" for verb in verbs)
        problems.at_key((*raw.where, verbs[1]), "E017", f"a step does one thing, this one has {both}")
    elif not verbs and not others:  # an unknown key may well be the verb, and is an error already
        problems.at_key(raw.where, "E017", "the step does nothing", 'it needs cmd = "..." or spawn = "..."')
    if verbs == ["cmd"]:
        return "cmd"
    return "spawn" if verbs == ["spawn"] else None


def _check_cmd(where: Path, known: Mapping[str, Any], problems: Problems) -> None:
    if "until" in known:
        message = "`until` is for a spawned step; a cmd ends by itself"
        problems.at_key((*where, "until"), "E034", message, "write spawn, or timeout = ... as its limit")


def _check_spawn(phase: str, where: Path, known: Mapping[str, Any], problems: Problems) -> None:
    if "timeout" in known:
        hint = "it lives until the phase that `until` names; a cmd has a timeout"
        problems.at_key((*where, "timeout"), "E034", "a spawned step has no timeout", hint)
    later, until = PHASES[PHASES.index(phase) + 1 :], known.get("until")
    if not later:
        hint = "put it into an earlier phase, or make it a cmd"
        problems.at_key((*where, "spawn"), "E034", f"no phase follows {phase}, to end a spawned step", hint)
    elif isinstance(until, str) and until not in later:
        hint = did_you_mean(until, later, f"phases: {', '.join(later)}")
        problems.at_value((*where, "until"), "E032", f"`until` names no phase after {phase}", hint)


def _default_until(phase: str) -> str:
    return "reset" if phase == "collect" else "collect"

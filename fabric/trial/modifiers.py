"""Which keys go with which verb, and with each other."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fabric.trial.layout import RawStep
from fabric.trial.model import Verb
from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.settings import Order
from fabric.trial.tables import ReadyTable
from fabric.trial.vocabulary import PROGRAMS, VERBS

_WORK: Final = PROGRAMS | {"put", "fetch"}

GOES_WITH: Final[Mapping[str, frozenset[str]]] = {
    "timeout": frozenset({"cmd", "put", "fetch"}),
    **dict.fromkeys(("until", "ready", "may_exit"), frozenset({"spawn"})),
    **dict.fromkeys(("dir", "retries", "retry_on"), _WORK),
    **dict.fromkeys(("env", "user", "pty", "stdin", "limits", "output", "ok"), PROGRAMS),
    **dict.fromkeys(("signal", "grace", "metric"), PROGRAMS),
    **dict.fromkeys(("name", "at", "spread", "on_fail", "when"), frozenset(VERBS)),
}
"""The verbs that each modifier is for."""

_SPECIAL: Final = {
    ("until", "cmd"): (
        "`until` is for a spawned step; a cmd ends by itself",
        "write spawn, or timeout = ... as its limit",
    ),
    ("timeout", "spawn"): (
        "a spawned step has no timeout",
        "it lives until the phase that `until` names; a cmd has a timeout",
    ),
    ("ready", "cmd"): (
        "`ready` is for a spawned step; a cmd is waited for until it ends",
        "write spawn, if it goes on in the background",
    ),
    ("may_exit", "cmd"): (
        "`may_exit` is for a spawned step; a cmd always ends by itself",
        "exit codes that are a success are listed in `ok`",
    ),
    ("timeout", "wait"): ("a wait is as long as it says", "the duration is that of `wait`"),
    ("timeout", "stop"): (
        "a stop has no timeout",
        "`grace` of the spawned step says how long it may take to end",
    ),
    ("signal", "stop"): ("a stop has no signal of its own", "`signal` belongs to the spawned step"),
    ("grace", "stop"): ("a stop has no grace of its own", "`grace` belongs to the spawned step"),
    ("env", "put"): ("a put starts no program", "$names of the fabric and the matrix are known to it"),
}


def check_modifiers(raw: RawStep, verb: Verb, order: Order, problems: Problems) -> None:
    """Note the keys of a step that mean nothing beside its verb, or without another key."""
    for key in raw.table:
        if verb not in GOES_WITH.get(key, (verb,)):
            verbs = " and ".join(f"`{one}`" for one in VERBS if one in GOES_WITH[key])
            usual = (f"`{key}` says nothing about a `{verb}`", f"it goes with {verbs}")
            message, hint = _SPECIAL.get((key, verb), usual)
            problems.at_key((*raw.where, key), "E034", message, hint)
    if "retry_on" in raw.table and not raw.table.get("retries"):
        message = "`retry_on` says nothing without `retries`"
        problems.at_key((*raw.where, "retry_on"), "E034", message, "write retries = 1, or more")
    if verb == "spawn":
        _check_end(raw, order, problems)
        _check_ready(raw.where, raw.table.get("ready"), problems)


def until_of(phase: str, written: object, order: Order) -> str:
    """Return the phase at whose beginning a spawned step ends."""
    later = order.after(phase)
    if isinstance(written, str) and written in later:
        return written
    return "collect" if "collect" in later else order.phases[-1]


def check_cycle(raw: RawStep, order: Order, stopped: Iterable[RawStep], problems: Problems) -> None:
    """Note a spawned step that the next repeat would find still running, and start once more.

    ``stopped`` are the steps that a stop ends.
    """
    until = until_of(raw.phase, raw.table.get("until"), order)
    lives_on = raw.phase in order.cycle and until not in order.cycle and order.cycle != order.phases
    if lives_on and not any(raw is one for one in stopped):
        message = f"each repeat would start it anew, but it lives until `{until}`, which is not in `cycle`"
        hint = "spawn it in a phase before the cycle, or end it within by `until` or a stop"
        problems.at_key((*raw.where, "until" if "until" in raw.table else "spawn"), "E032", message, hint)


def _check_end(raw: RawStep, order: Order, problems: Problems) -> None:
    later, until = order.after(raw.phase), raw.table.get("until")
    if not later:
        hint = "put it into an earlier phase, or make it a cmd"
        message = f"no phase follows {raw.phase}, to end a spawned step"
        problems.at_key((*raw.where, "spawn"), "E034", message, hint)
    elif isinstance(until, str) and until not in later:
        hint = did_you_mean(until, later, f"phases: {', '.join(later)}")
        problems.at_value((*raw.where, "until"), "E032", f"`until` names no phase after {raw.phase}", hint)


def _check_ready(step: Path, ready: Any, problems: Problems) -> None:
    if not isinstance(ready, dict):
        return
    conditions = [key for key in ReadyTable.model_fields if key != "within"]
    given = [key for key in conditions if key in ready]
    where: Path = (*step, "ready")
    if not given and set(ready) <= {"within"}:
        hint = "write ready.port = 5201, ready.log = 'regex', ready.cmd or ready.file"
        problems.at_key(where, "E026", "`ready` has no condition", hint)
    for key in given[1:]:
        message = f"`ready` has one condition, this one has `{given[0]}` and `{key}`"
        problems.at_key((*where, key), "E026", message, "a `cmd` can look at several things")

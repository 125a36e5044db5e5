"""PURE.  Going on with the part of a run that an earlier life of the agent had, with its launcher.

The memo says what that life was about to do, the launcher what it has done.  What the launcher was not told
is said now; what it has seen since is taken in.  Nothing is done twice: a program is armed again only if the
launcher does not know it, and released only if it waits and no release is planned.

Instants are nanoseconds of the local monotonic clock, which goes on while agents come and go.
"""

from collections.abc import Iterable, Mapping

from agents import checks
from agents.effects import Arm, Bring, Check, Effect, End, Hold, RefreshClock, Release, Transfer
from agents.executor import Executor
from agents.going import LATE_NS
from agents.launcher.events import AdoptedStep, Ended, Exited, Started, StartFailed, StepEvent
from agents.phase import PhasePart
from agents.step_run import TRANSFERS, Exit, Start, StepRun

Known = Mapping[str, AdoptedStep]
"""What the launcher has of a run, by key."""


def why_not(executor: Executor, known: Known) -> str:
    """Return why a part cannot be taken over, "" if it can be.

    A launcher keeps a program until it is told that nobody needs it any more; so one of which it knows
    nothing was another launcher's, or has never been armed.
    """
    for step in executor.steps:
        if not (step.is_own or step.state == "arming" or step.has_ended or step.key in known):
            return f"its launcher knows nothing of {step.key}"
    return ""


def take_over(executor: Executor, known: Known, now_ns: int) -> list[Effect]:
    """Return what is to be done now; the pipes of the programs are read already."""
    said = f"the agent on {executor.assign.node} was restarted and goes on with its part of the run"
    effects = executor.notice(said, now_ns)
    waiting = [step for step in executor.steps if _waits(step, known)]
    for step in executor.steps:
        if step.is_own:
            effects += _own(executor, step, now_ns)
        elif step.key in known:
            effects += _program(executor, step, known[step.key], now_ns)
        elif step.has_ended:
            effects += _files(executor, step, now_ns)
        else:
            effects.append(Arm(step.key, step.step))
    effects += _phase(executor, waiting, now_ns)
    return effects + executor.expire(now_ns)


# --- attempts -------------------------------------------------------------------------------------------


def _own(executor: Executor, step: StepRun, now_ns: int) -> list[Effect]:
    """Begin a transfer again; what else the agent does by itself goes by instants that are still to come."""
    if step.step.verb not in TRANSFERS or step.state != "running" or step.done:
        return []
    if step.ending:
        return executor.transferred(step.key, True, "was ended before it was done", now_ns)
    return [Transfer(step.key, step.step)]


def _files(executor: Executor, step: StepRun, now_ns: int) -> list[Effect]:
    """Fetch again what the metrics of a step want that is over, unless it was to be left."""
    if executor.lanes.brings:
        return [Bring(step.key, step.step)]
    return executor.brought(step.key, now_ns)


def _program(executor: Executor, step: StepRun, known: AdoptedStep, now_ns: int) -> list[Effect]:
    key, effects = step.key, list[Effect]()
    if known.state == "arming":
        return []  # it says so when it is done
    if step.state == "arming":
        effects += executor.armed(key, now_ns)
    if step.ending and not step.exit and not known.is_ending:
        effects.append(End(key, step.step.signal, step.step.grace_s))
    for event in known.events:
        effects += _heard(executor, step, event, now_ns)
    return effects + (_files(executor, step, now_ns) if step.files == "wanted" else [])


def _heard(executor: Executor, step: StepRun, event: StepEvent, now_ns: int) -> list[Effect]:
    """Take in what the launcher has seen, if the earlier life did not."""
    key = step.key
    match event:
        case Started() if not step.started_ns:
            return executor.started(key, start_of(event), now_ns)
        case StartFailed(sentence=sentence) if not step.not_started:
            return executor.start_failed(key, sentence, now_ns)
        case Exited() if step.exit is None:
            return executor.exited(key, exit_of(event), now_ns)
        case Ended(survivors=survivors, pipe_rest=pipe_held) if not step.tree_ended:
            return executor.ended(key, survivors, pipe_held, now_ns)
        case _:
            return []


def start_of(event: Started) -> Start:
    """Return a start as the executor knows it."""
    return Start(
        pid=event.pid,
        t_ns=event.t_ns,
        event=event.event,
        way=event.way,
        way_why=event.way_why,
        is_linked=event.is_linked,
        ordered_ns=event.ordered_ns,
        woke_ns=event.woke_ns,
    )


def exit_of(event: Exited) -> Exit:
    """Return an end as the executor knows it."""
    return Exit(
        code=event.exit_code,
        signal=event.signal,
        user_s=event.user_s,
        system_s=event.system_s,
        max_rss_kib=event.max_rss_kib,
        t_ns=event.t_ns,
        limit=event.limit,
        seen_late_ns=event.seen_late_ns,
    )


# --- the phase ------------------------------------------------------------------------------------------


def _phase(executor: Executor, waiting: list[StepRun], now_ns: int) -> list[Effect]:
    part = executor.phase
    if part is not None and part.state == "scheduled" and waiting:
        firsts = {step.key for step in part.currents() if step.state == "scheduled" and not step.is_own}
        if firsts == {step.key for step in waiting} and part.t0_local_ns < now_ns + LATE_NS:
            _take_back(part)  # nothing has begun here, and the go was not confirmed
            return []
    effects = _released(waiting, now_ns)
    if part is None:
        return effects
    if part.state == "holding":
        effects.append(Hold(tuple(sorted(part.arming))))
    if part.state == "preparing":
        effects.append(RefreshClock(executor.run))
        if not part.is_checked:
            effects.append(Check(executor.run, part.phase, checks.wanted(part)))
    return effects


def _waits(step: StepRun, known: Known) -> bool:
    """Whether it was to be released and the launcher was not told so."""
    if step.is_own or step.state != "scheduled" or step.key not in known:
        return False
    return known[step.key].state == "armed" and known[step.key].planned_ns is None


def _take_back(part: PhasePart) -> None:
    """Be ready for another go: the one that was to release these was not passed on, and is over."""
    part.state, part.voided = "ready", max(part.voided, part.go)
    for step in part.currents():
        if step.state == "scheduled":
            step.state = "armed"


def _released(waiting: Iterable[StepRun], now_ns: int) -> list[Effect]:
    groups: dict[int, list[str]] = {}
    for step in waiting:
        groups.setdefault(step.planned_ns if step.planned_ns > now_ns else 0, []).append(step.key)
    return [Release(tuple(keys), t0_ns) for t0_ns, keys in sorted(groups.items())]

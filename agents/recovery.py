"""What an agent finds of its earlier lives: journals to ship, steps that were lost, resets that are owed."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from agents.journal import Journal, OpenStep, StreamState, directory
from agents.journal.directory import SPOOL
from agents.journal.masked_transfer import mask_tails
from agents.journal.masking import Mask
from fabric.errors import DecodeError
from fabric.log import get_logger
from fabric.protocol.codec import decode, encode
from fabric.protocol.messages import Assign
from fabric.protocol.records import FileEnded, Notice, Output, StepFinished, Stream

log = get_logger()

BOOTED: Final = "{node} was booted anew: what it reported right before, and the ends of steps, may be missing"


@dataclass(frozen=True, slots=True)
class LeftPart:
    """A part of a run that an earlier life has left, and which this one ends."""

    assign: Assign
    needs_reset: bool
    why: str


def end_journals(journals: Iterable[Journal]) -> None:
    """Complete the journals that earlier lives left: every step in them gets an end.

    One of another boot is returned as it is.  A power cut may have taken its end, which the sink may have:
    what would be appended here would have the number of another record, and be no true end of a step.

    The launcher of those lives must be gone.  The time of what is added is this machine's wall clock without
    a bound, for nothing better is known before the first welcome.
    """
    t_ns = time.time_ns()
    for journal in journals:
        if not directory.is_of_this_boot(journal.path):
            log.warning(
                "journal_of_another_boot", run=journal.run, last=journal.appended, what=journal.damage
            )
            continue
        if journal.damage:
            log.error("journal_damaged", run=journal.run, what=journal.damage)
            journal.append(Notice(t_ns=t_ns, bound_ns=-1, level="error", message=journal.damage))
        mask_left(journal)
        _forget_secrets(journal)
        journal.recover_tails(t_ns, -1)
        for step in journal.open_steps():
            for record in _lost(step, t_ns):
                journal.append(record)


def mask_left(journal: Journal) -> None:
    """Take the secrets out of what the launcher of an earlier life has drained, before it is recorded."""
    state = saved(journal)
    if state is not None and state[0].secrets:
        mask_tails(journal.path / SPOOL, Mask(state[0].secrets.values()))


def _forget_secrets(journal: Journal) -> None:
    """Keep them no longer, unless a reset wants them."""
    state = saved(journal)
    if state is not None and state[0].secrets and not state[1]:
        keep(journal, replace(state[0], secrets={}), needs_reset=False)


def keep(journal: Journal, assign: Assign, *, needs_reset: bool, durable: bool = False) -> None:
    """Keep the part of a run for the next life, and whether its reset is due."""
    journal.save_state(bytes([needs_reset]) + encode(assign), durable=durable)


def left_parts(journals: Iterable[Journal]) -> list[LeftPart]:
    """Return the parts of runs that this life has to end; the latest life of each run knows.

    These are parts whose reset is due, and those of another boot: somebody has to say what may be missing.
    """
    parts: dict[str, LeftPart | None] = {}
    for journal in journals:  # the oldest first
        state = saved(journal)
        if state is not None:
            parts[journal.run] = _left(*state, is_whole=directory.is_of_this_boot(journal.path))
    return [part for part in parts.values() if part is not None]


def _left(assign: Assign, needs_reset: bool, *, is_whole: bool) -> LeftPart | None:
    if is_whole:
        return LeftPart(assign, needs_reset, "the agent was restarted") if needs_reset else None
    return LeftPart(assign, needs_reset, BOOTED.format(node=assign.node))


def unreadable_resets(journals: Iterable[Journal]) -> list[str]:
    """Return the runs whose reset is due, but was kept in a form that this version cannot read."""
    found: dict[str, bool] = {}
    for journal in journals:
        if state := journal.load_state():
            found[journal.run] = bool(state[0]) and saved(journal) is None
    return [run for run, is_unreadable in found.items() if is_unreadable]


def saved(journal: Journal) -> tuple[Assign, bool] | None:
    """Return what `Part.save` has kept: the part of the run, and whether its reset is due."""
    state = journal.load_state()
    if not state:
        return None
    try:
        assign = decode(state[1:])
    except DecodeError:
        return None  # of another version, see `unreadable_resets`
    return (assign, bool(state[0])) if isinstance(assign, Assign) else None


def cut_files(step: OpenStep, t_ns: int, bound_ns: int) -> Iterator[FileEnded]:
    """Yield the ends of files that were being fetched: whoever goes on begins them again."""
    for file, state in step.files:
        yield FileEnded(
            t_ns=t_ns,
            bound_ns=bound_ns,
            step=step.step,
            attempt=step.attempt,
            file=file,
            size=state.end,
            sha256="",
            problem="the agent was restarted while it was fetched",
        )


def _lost(step: OpenStep, t_ns: int) -> Iterator[Output | FileEnded | StepFinished]:
    """Yield the records of a step whose end an earlier life of the agent did not see."""
    states: tuple[tuple[Stream, StreamState], ...] = (("stdout", step.stdout), ("stderr", step.stderr))
    for stream, state in states:
        if not state.ended:
            yield Output(
                t_ns=t_ns,
                bound_ns=-1,
                step=step.step,
                attempt=step.attempt,
                stream=stream,
                offset=state.end,
                size=0,
            )
    yield from cut_files(step, t_ns, -1)
    yield StepFinished(
        t_ns=t_ns,
        bound_ns=-1,
        step=step.step,
        attempt=step.attempt,
        reason="lost",
        failed=True,
        exit_code=None,
        signal=None,
        message="the agent was restarted while it ran",
        duration_ns=0,
        stdout_bytes=step.stdout.end,
        stderr_bytes=step.stderr.end,
        user_s=0.0,
        system_s=0.0,
        max_rss_kib=0,
        pipe_held=False,
        survivors=(),
    )

"""What an agent that starts has of its last life: a launcher with programs, and the parts of their runs.

All parts are taken over, or none is: then the launcher is ended, which ends its programs, and what is left of
the runs is reported and reset (see `agents.recovery`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents import takeover
from agents.dirty import DirtyRuns
from agents.executor import Executor
from agents.hands import Hands, is_probe
from agents.journal import Journal, directory
from agents.launcher import wire
from agents.launcher.events import Adopted, AdoptedStep
from agents.launching import run_of
from agents.memofile import read_memo
from agents.parts import Part
from agents.recovery import cut_files, end_journals, mask_left, saved
from agents.remembered import Memo
from agents.removal import scratch_of
from agents.timekeeping import Timekeeping
from fabric.errors import DecodeError
from fabric.log import get_logger
from fabric.private import make_private
from fabric.protocol.records import Stream

log = get_logger()


@dataclass(frozen=True, slots=True)
class Heir:
    """A part of a run that can be taken over."""

    executor: Executor
    journal: Journal
    memo: Memo
    steps: dict[str, AdoptedStep]


def heirs(journals: Sequence[Journal], found: Adopted | None, launcher: str) -> list[Heir] | str:
    """Return the parts of runs that are to be taken over, or why none is.

    Args:
        journals: Of earlier lives, the oldest first.
        found: What their launcher has; None if there is no launcher.
        launcher: Its name.
    """
    if found is None:
        return "its launcher is gone"
    if found.wire != wire.VERSION:
        return f"its launcher speaks version {found.wire}, this agent {wire.VERSION}"
    if found.has_ended_all:
        return "its launcher has ended them, for no agent came in time"
    made: list[Heir] = []
    for journal in {journal.run: journal for journal in journals}.values():  # the latest of each run
        memo = _memo(journal)
        if memo is None or memo.launcher != launcher:
            continue
        heir = _heir(journal, memo, found)
        if isinstance(heir, str):
            return heir
        made.append(heir)
    runs = {heir.journal.run for heir in made}
    strange = sorted({run_of(step.key) for step in found.steps} - runs)
    return f"nothing is known of what it runs for {', '.join(strange)}" if strange else made


def _memo(journal: Journal) -> Memo | None:
    bodies = read_memo(journal.path)
    if not bodies:
        return None
    try:
        return Memo.read(bodies)
    except DecodeError as error:
        log.warning("memo_unreadable", run=journal.run, error=str(error))
        return None


def _heir(journal: Journal, memo: Memo, found: Adopted) -> Heir | str:
    """Return a part, or why it cannot be taken over."""
    state = saved(journal)
    if journal.damage:
        return f"{journal.run}: {journal.damage}"
    if state is None:
        return f"what is kept of {journal.run} cannot be read"
    if not directory.is_of_this_boot(journal.path):
        return f"the journal of {journal.run} is of another boot"
    assign, needs_reset = state
    steps = {step.key: step for step in found.steps if run_of(step.key) == journal.run}
    executor = memo.executor(assign, needs_reset=needs_reset)
    return takeover.why_not(executor, steps) or Heir(executor, journal, memo, steps)


def begin(
    journals: Sequence[Journal],
    parts: dict[str, Part],
    hands: Hands,
    clock: Timekeeping,
    dirty: DirtyRuns,
    *,
    root: Path,
    now_ns: int,
) -> set[str]:
    """Go on with all that the last life had, or end its launcher and complete its journals.

    Args:
        journals: Of earlier lives, the oldest first.
        parts: Of this life; those that are taken over are added.
        hands: That have found a launcher, or made one.
        clock: Learns what the last life knew of the time.
        dirty: Runs that left this node dirty.
        root: The state directory.
        now_ns: Local.

    Returns:
        The runs that are taken over.
    """
    launching = hands.launching
    found = heirs(journals, launching.found, launching.client.name)
    if isinstance(found, str) or not found:
        launching.end_found(found if isinstance(found, str) else "it runs nothing for anybody")
        found = []
    taken = {id(heir.journal) for heir in found}
    end_journals(journal for journal in journals if id(journal) not in taken)
    for heir in found:
        clock.remember(heir.memo.clock)
        _complete(heir, clock.now())
        parts[heir.journal.run] = _part(heir, root, dirty)
        heir.executor.clock_changed(clock.epoch, clock.known)
        log.warning("run_taken_over", run=heir.journal.run, programs=len(heir.steps))
    for heir in found:
        _go_on(heir, parts[heir.journal.run], hands, now_ns)
    if found:
        launching.take_over(now_ns)
    return {heir.journal.run for heir in found}


def _complete(heir: Heir, stamp: tuple[int, int]) -> None:
    """Bring the journal to where that life was about to bring it."""
    journal, memo = heir.journal, heir.memo
    for record in memo.records[max(0, journal.appended - memo.appended) :]:
        journal.append(record)
    mask_left(journal)
    journal.recover_tails(*stamp)
    for step in journal.open_steps():
        for ended in cut_files(step, *stamp):
            journal.append(ended)


def _part(heir: Heir, root: Path, dirty: DirtyRuns) -> Part:
    scratch = scratch_of(root, heir.journal.run)
    make_private(scratch)
    parting = heir.executor.parting
    return Part(
        heir.executor, heir.journal, scratch, dirty, shipping=parting.has_shipped, dirty=parting.dirty
    )


def _go_on(heir: Heir, part: Part, hands: Hands, now_ns: int) -> None:
    """Read what its programs write, and do what is to be done now."""
    ended = [end for step in heir.steps.values() for end in _read_on(heir, step, part, hands)]
    hands.drive(part, takeover.take_over(heir.executor, heir.steps, now_ns))
    for key, stream, size in ended:
        hands.drive(part, heir.executor.stream_ended(key, stream, size, now_ns))
    for step in heir.steps.values():
        hands.adopted(step)


def _read_on(heir: Heir, step: AdoptedStep, part: Part, hands: Hands) -> list[tuple[str, Stream, int]]:
    """Take the pipes of a program; close those that are read to their end, or wanted by nobody.

    Returns:
        The streams of which the last life saw the end, and did not come to say so.
    """
    attempt = heir.executor.steps.get(step.key)
    fds: dict[Stream, int] = {"stdout": step.stdout_fd, "stderr": step.stderr_fd}
    ended: list[tuple[str, Stream, int]] = []
    for stream in list(fds):
        if attempt is None or is_probe(step.key) or step.state == "arming":
            os.close(fds.pop(stream))
            continue
        had = heir.journal.stream_state(attempt.step.step, attempt.attempt, stream)
        if stream in attempt.sizes or had.ended:
            os.close(fds.pop(stream))
        if had.ended and stream not in attempt.sizes:
            ended.append((step.key, stream, had.end))
    if attempt is not None and fds:
        hands.pipes.open(
            step.key, attempt.step, attempt.attempt, heir.journal, fds, mask=part.mask, inherited=True
        )
    return ended

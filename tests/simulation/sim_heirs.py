"""What an agent that starts does with what its last life had, as `agents.inheriting` does it with files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents import takeover
from agents.executor import Executor
from agents.journal.ledger import StreamKey, StreamState
from agents.launcher.events import AdoptedStep, Ended
from agents.memo import FORMAT, Head
from agents.recovery import cut_files
from agents.remembered import Memo
from fabric.protocol.codec import pack
from fabric.protocol.records import Stream
from tests.simulation.sim_journal import Journal
from tests.simulation.sim_launcher import STREAMS

if TYPE_CHECKING:
    from tests.simulation.sim_agent import SimAgent


@dataclass
class SimHeir:
    """A part of a run that is taken over."""

    executor: Executor
    journal: Journal
    memo: Memo
    steps: dict[str, AdoptedStep]


def find_heirs(agent: "SimAgent") -> list[SimHeir]:
    """Return the parts of runs that are taken over with the launcher: all of them, or none."""
    launcher = agent.launcher
    if launcher.is_dead:
        return []
    known = {key: process.adopted for key, process in launcher.processes.items()}
    found: list[SimHeir] = []
    for journal in {one.run: one for one in agent.journals.values()}.values():
        if journal.memo_launcher != launcher.name or journal.cached is None:
            continue
        head = Head(format=FORMAT, software="sim")
        memo = Memo.read([pack(head), *map(pack, journal.memo)])
        executor = memo.executor(journal.cached[0], needs_reset=journal.cached[1])
        steps = {key: step for key, step in known.items() if key.startswith(journal.run + "|")}
        why_not = takeover.why_not(executor, steps)
        assert not why_not, why_not
        found.append(SimHeir(executor, journal, memo, steps))
    strange = [key for key in known if not any(key in heir.steps for heir in found)]
    return [] if strange else found


def complete(agent: "SimAgent", heir: SimHeir) -> None:
    """Bring the journal to where the last life was about to bring it."""
    journal, memo = heir.journal, heir.memo
    for record in memo.records[max(0, len(journal.records) - memo.appended) :]:
        agent.act()
        agent.disk.append(journal, record, b"")
    for step in journal.ledger.open_steps():
        for ended in cut_files(step, 0, -1):
            agent.disk.append(journal, ended, b"")


def go_on(agent: "SimAgent", heir: SimHeir) -> None:
    """Read what its programs write, and do what is to be done now."""
    executor = heir.executor
    ended = [end for step in heir.steps.values() for end in _read_on(agent, heir, step)]
    agent.drive(executor, takeover.take_over(executor, heir.steps, agent.local_ns))
    for key, stream, size in ended:
        agent.drive(executor, executor.stream_ended(key, stream, size, agent.local_ns))
    for step in heir.steps.values():
        if executor.steps.get(step.key) is None and step.key not in agent.pipes:
            agent.act()
            agent.launcher.processes.pop(step.key, None)
        elif any(isinstance(event, Ended) for event in step.events):
            agent.note_drained(step.key)


def _read_on(agent: "SimAgent", heir: SimHeir, step: AdoptedStep) -> list[tuple[str, Stream, int]]:
    """Open the pipes of a program that are not read to their end; return those of which nobody was told."""
    attempt = heir.executor.steps.get(step.key)
    if attempt is None or step.state == "arming":
        return []
    streams, ended = set(STREAMS), list[tuple[str, Stream, int]]()
    for stream in STREAMS:
        key = StreamKey(attempt.step.step, attempt.attempt, stream)
        had = heir.journal.ledger.streams.get(key, StreamState(0))
        if stream in attempt.sizes or had.ended:
            streams.discard(stream)
        if had.ended and stream not in attempt.sizes:
            ended.append((step.key, stream, had.end))
    if streams:
        agent.open_pipes(step.key, streams)
    return ended

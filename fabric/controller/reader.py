"""Reads a run's records in order, each exactly once: what is stored by replay, what comes by the feed.

The feed may lose, double and reorder, and so may a broker that starts again.  Whatever it lacks is asked for.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from fabric.controller.entry import Entry, Read
from fabric.protocol.limits import REPLAY_BYTES, SKIM_BYTES
from fabric.protocol.messages import Beacon, Replay, ReplayEnd
from fabric.protocol.records import RunEnded

ANSWER_NS: Final = 3_000_000_000
"""A replay that brings nothing new for so long is asked for again: above a broker's worst fdatasync."""

RETRY_NS: Final = 100_000_000
"""Pause after a replay that brought nothing though something is missing: it is about to be stored."""

QUIET_NS: Final = 5_000_000_000
"""So long after the last sign of the feed the reader asks, should the feed alone be cut (SILENCE_S)."""

LAST_RECORDS: Final = 64
"""Who hurries still reads so many at the end, which say how it ended: 8 MiB at most."""

HELD_BYTES: Final = 4 << 20
"""Most bytes of the feed that are kept while a replay catches up; older ones come by the replay too."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to the broker."""

    replay: Replay


@dataclass(frozen=True, slots=True)
class Deliver:
    """The next records, in order; never empty."""

    reads: tuple[Read, ...]


Effect = Ask | Deliver


class RunReader:
    """Asks, waits, trims and orders until the run is complete.

    All instants are nanoseconds of one monotonic clock, the caller's.  What is of other runs changes nothing.
    """

    def __init__(
        self,
        run: str,
        *,
        number: int = 1,
        requests: Iterator[int] | None = None,
        limit_bytes: int = REPLAY_BYTES,
    ) -> None:
        """Prepare; `connected` begins.

        Args:
            run: Whose records.
            number: Of the first record that is wanted.
            requests: Numbers all requests of the connection.
            limit_bytes: Most bytes that one replay brings, but for the last entry in it.
        """
        self.run = run
        self.next = number
        """Number of the record that is read next."""
        self.ended = False
        """The run's verdict was read."""
        self.complete = False
        """All is read, and the broker has said that nothing follows."""
        self.caught_up = False
        """At the end of the last replay there was nothing more to read."""
        self.skipped = 0
        """Records that were passed over, see `hurry`."""
        self._paused = False
        self._hurried = False
        self._requests = requests if requests is not None else count(1)
        self._limit_bytes = limit_bytes
        self._connected = False
        self._is_skimming = False
        self._asked: Replay | None = None
        self._next_when_asked = 0
        self._deadline_ns: int | None = None
        self._held = _Held()

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        return self._deadline_ns

    @property
    def is_live(self) -> bool:
        """Whether all is read that is known to be stored."""
        return self.complete or (self._connected and not (self._paused or self._asked or self._held))

    def pause(self) -> None:
        """Ask for nothing more; what has been asked for is still given out."""
        self._paused = True

    def resume(self, now_ns: int) -> list[Effect]:
        """Go on after a pause.  Safe to call at any time."""
        if not self._paused:
            return []
        self._paused = False
        return self._ask(now_ns)

    def hurry(self, now_ns: int) -> list[Effect]:
        """Do not catch up: from now on what comes is given out, and what lies before it is passed over."""
        self._hurried, self._paused = True, False
        self._asked = None
        self._deadline_ns = now_ns + RETRY_NS
        first = self._held.pop_first()
        if first is None:
            return []
        self._pass_over(first.number)
        return self._deliver(first)

    def connected(self, now_ns: int) -> list[Effect]:
        """Begin, or go on after a break: what was asked before is void."""
        self._connected = True
        return self._ask(now_ns)

    def disconnected(self) -> None:
        """Wait for `connected`; what was read stays read."""
        self._connected = False
        self._asked = self._deadline_ns = None

    @property
    def is_asking(self) -> bool:
        """Whether a replay was asked for and has not ended."""
        return self._asked is not None

    def skim(self) -> None:
        """From the next replay on do without the bytes of output: the end comes sooner."""
        self._is_skimming = True

    def entry(self, entry: Entry, now_ns: int) -> list[Effect]:
        """Take an entry, of the feed or of a replay: only its numbers count."""
        if self.complete or entry.run != self.run:
            return []
        if self._paused and self._asked is None:
            self._held.add(entry)
            return []
        if self._hurried:
            self._pass_over(entry.number)
        effects = self._deliver(entry)
        if not effects and entry.number > self.next:
            self._held.add(entry)
        self._note_sign(now_ns, progress=bool(effects))
        if self._held or self.ended:
            effects += self._ask_once(now_ns)
        return effects

    def beacon(self, beacon: Beacon, now_ns: int) -> list[Effect]:
        """Take the run's last number, which shows a gap at the end of the feed."""
        if beacon.run != self.run:
            return []
        self._note_sign(now_ns, progress=False)
        if self._hurried:
            self._pass_over(beacon.number - LAST_RECORDS)
        if beacon.number >= self.next:
            return self._ask_once(now_ns)
        if not beacon.open:
            self._finish()
        return []

    def replay_end(self, message: ReplayEnd, now_ns: int) -> list[Effect]:
        """Take the end of a replay: ask on where more is stored, else wait for the feed."""
        if self._asked is None or message.request != self._asked.request:
            return []  # asked again since
        self.caught_up = message.end and message.next <= self.next
        if self.caught_up and self.ended:
            self._finish()
        elif self.caught_up and not self._held:
            self._asked = None
            self._deadline_ns = now_ns + QUIET_NS
        elif self.next > self._next_when_asked:
            return self._ask(now_ns)
        else:
            self._deadline_ns = now_ns + RETRY_NS
        return []

    def expire(self, now_ns: int) -> list[Effect]:
        """Ask again where an answer or a sign of the feed is due.  Safe to call at any time."""
        if self._deadline_ns is None or now_ns < self._deadline_ns:
            return []
        return self._ask(now_ns)

    def _ask(self, now_ns: int) -> list[Effect]:
        if self.complete or not self._connected or self._paused:
            self._asked = self._deadline_ns = None
            return []
        self._asked = Replay(
            request=next(self._requests),
            run=self.run,
            number=self.next,
            limit_bytes=SKIM_BYTES if self._is_skimming else self._limit_bytes,
            without_bytes=self._is_skimming,
        )
        self._next_when_asked = self.next
        self._deadline_ns = now_ns + ANSWER_NS
        return [Ask(self._asked)]

    def _ask_once(self, now_ns: int) -> list[Effect]:
        return self._ask(now_ns) if self._asked is None else []

    def _pass_over(self, number: int) -> None:
        """Read from this record on, if it lies ahead."""
        if number > self.next:
            self.skipped += number - self.next
            self.next = number

    def _note_sign(self, now_ns: int, *, progress: bool) -> None:
        """Move the deadline; a replay that was asked for has to bring something new."""
        if self._deadline_ns is None:
            return
        if self._asked is None:
            self._deadline_ns = now_ns + QUIET_NS
        elif progress:
            self._deadline_ns = now_ns + ANSWER_NS

    def _finish(self) -> None:
        self.complete = True
        self._asked = self._deadline_ns = None

    def _deliver(self, entry: Entry) -> list[Effect]:
        """Give out what is new of the entry, and what was held for the moment it came."""
        if not entry.number <= self.next < entry.end:
            return []
        reads = list(entry.reads(self.next))
        for held in self._held.take(entry.end):
            reads += held.reads(reads[-1].number + 1)
        self.next = reads[-1].number + 1
        self.ended = self.ended or any(isinstance(read.record, RunEnded) for read in reads)
        return [Deliver(tuple(reads))]


class _Held:
    """Consecutive entries of the feed from beyond a gap, until the gap is filled; bounded."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: Entry) -> None:
        """Keep the entry if it follows the others, and only it if it leaves another gap."""
        if self._entries and entry.number < self._entries[-1].end:
            return
        if self._entries and entry.number > self._entries[-1].end:
            self._entries.clear()
            self._bytes = 0
        self._entries.append(entry)
        self._bytes += entry.cost_bytes
        while self._bytes > HELD_BYTES:
            self._bytes -= self._entries.popleft().cost_bytes

    def pop_first(self) -> Entry | None:
        """Return the oldest entry, which is kept no longer."""
        if not self._entries:
            return None
        entry = self._entries.popleft()
        self._bytes -= entry.cost_bytes
        return entry

    def take(self, number: int) -> Iterator[Entry]:
        """Yield the entries that go on from record ``number``; older ones are dropped."""
        while self._entries and self._entries[0].number <= number:
            entry = self._entries.popleft()
            self._bytes -= entry.cost_bytes
            if entry.end > number:
                yield entry
                number = entry.end

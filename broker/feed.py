"""Which runs are followed on the feed, and what waits to be published there: only durable entries are."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from broker.limits import MAX_TOPICS, UNPUBLISHED_BYTES
from fabric.store.entry import Entry

SUBSCRIBED: Final = b"\1"
UNSUBSCRIBED: Final = b"\0"
"""What an XPUB shows before a topic.  Anything else is a message of a subscriber: of no use."""


class Topics:
    """The subscriptions that the feed's XPUB has shown."""

    def __init__(self) -> None:
        self._wanted: set[bytes] = set()
        self._overflowed = False
        self._known: dict[str, bool] = {}  # run to whether it is followed

    def note(self, frame: bytes | memoryview) -> None:
        """Take what the XPUB shows: 1 and a topic for each subscription, 0 for the end of the last."""
        kind, topic = bytes(frame[:1]), bytes(frame[1:])
        self._known.clear()
        if kind == UNSUBSCRIBED:
            self._wanted.discard(topic)
        elif kind != SUBSCRIBED:
            return
        elif len(self._wanted) < MAX_TOPICS:
            self._wanted.add(topic)
        else:
            self._overflowed = True  # from now on everything is sent; ZeroMQ knows who wants it

    def is_followed(self, run: str) -> bool:
        """Say whether anybody has subscribed to a run's topic, or to the beginning of it."""
        known = self._known.get(run)
        if known is None:
            topic = feed_topic(run)
            known = self._overflowed or any(topic.startswith(wanted) for wanted in self._wanted)
            if len(self._known) >= MAX_TOPICS:
                self._known.clear()
            self._known[run] = known
        return known


class Unpublished:
    """Entries that are written and not durable yet, in the order of each run.

    Nobody may see them: a loss of power gives their numbers to other records.  What finds no room is not
    published at all, and readers ask for it: the feed may lose.
    """

    def __init__(self, limit_bytes: int = UNPUBLISHED_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._entries: dict[str, deque[Entry]] = {}
        self._durable: dict[str, int] = {}  # runs of which some may be seen: up to which record

    @property
    def has_durable(self) -> bool:
        """Whether something waits that may be seen."""
        return bool(self._durable)

    def committed(self, run: str, number: int) -> None:
        """Let all of a run up to record ``number`` be seen."""
        if run in self._entries:
            self._durable[run] = number

    def portion(self, most: int) -> Iterator[tuple[str, Entry]]:
        """Yield the next entries that may be seen, with their runs; ``most`` of them, at least one."""
        for run in list(self._durable):
            for entry in islice(self.take(run, self._durable[run]), most):
                most -= 1
                yield run, entry
            number = self._durable.pop(run)
            if not most:  # there may be more of it: after the other runs
                self._durable[run] = number
                return

    def add(self, run: str, entry: Entry) -> None:
        """Keep an entry until it is durable, if there is room."""
        if self._bytes + entry.size_bytes > self._limit_bytes:
            return
        self._bytes += entry.size_bytes
        self._entries.setdefault(run, deque()).append(entry)

    def take(self, run: str, number: int) -> Iterator[Entry]:
        """Yield the entries of a run that are durable now: all of them up to record ``number``."""
        waiting = self._entries.get(run)
        while waiting and waiting[0].next_number <= number + 1:
            entry = waiting.popleft()
            self._bytes -= entry.size_bytes
            yield entry
        if waiting is not None and not waiting:
            del self._entries[run]

    def drop(self, run: str) -> None:
        """Forget a run's entries: its log is opened anew, and other records may get their numbers."""
        self._durable.pop(run, None)
        self._bytes -= sum(entry.size_bytes for entry in self._entries.pop(run, ()))


def feed_topic(run: str) -> bytes:
    """Return the topic of a run: its id and a slash, so that no run's topic begins another's."""
    return f"{run}/".encode("ascii")

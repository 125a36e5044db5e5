"""A manual clock, events in its order, and links that lose and delay.  Everything follows from the seed."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fabric.protocol.codec import decode, encode

WIRE_EVERY = 16
"""One message in so many goes through the codec, which takes longer than all that machines do with it."""

MS = 1_000_000
S = 1000 * MS


@dataclass
class World:
    """Time is nanoseconds; an event is a function."""

    seed: int
    now_ns: int = 0
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0
    _messages: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.after_event: list[Callable[[], None]] = []

    def at(self, time_ns: int, event: Callable[[], None]) -> None:
        """Let an event happen at an instant, or now if that has passed."""
        self._count += 1
        at_ns = time_ns if time_ns > self.now_ns else self.now_ns  # noqa: FURB136 - max() takes longer
        heapq.heappush(self._events, (at_ns, self._count, event))

    def after(self, delay_ns: int, event: Callable[[], None]) -> None:
        """Let an event happen after a delay."""
        self.at(self.now_ns + delay_ns, event)

    def wire(self, message: Any) -> Any:
        """Return a message as it comes out of the wire: what machines say must survive that."""
        self._messages += 1
        if (self._messages + self.seed) % WIRE_EVERY:
            return message
        arrived = decode(encode(message))
        assert arrived == message
        return arrived

    def run(self, until: Callable[[], bool], limit_ns: int) -> bool:
        """Let events happen until the condition holds; False if the limit comes first."""
        events, pop, checks = self._events, heapq.heappop, self.after_event
        while events and not until():
            if events[0][0] > limit_ns:
                return False
            self.now_ns, _, event = pop(events)
            event()
            for check in checks:
                check()
        return until()


@dataclass(frozen=True)
class Cut:
    """A time in which nothing goes from one peer to another, whatever the connection."""

    source: str
    target: str
    begin_ns: int
    end_ns: int
    keeps: bool
    """What was under way arrives afterwards, as by TCP if the connection outlives it; else it is lost."""

    def has(self, source: str, target: str, sent_ns: int, arrival_ns: int) -> bool:
        """Whether it holds up what is sent and would arrive at these instants."""
        is_here = source.startswith(self.source) and target.startswith(self.target)
        return is_here and sent_ns < self.end_ns and self.begin_ns <= arrival_ns


@dataclass
class Network:
    """Loses a share of what is sent, delays the rest; what two peers say to each other stays in order."""

    world: World
    loss: float
    delay_ns: tuple[int, int]
    lossless_after_ns: int  # trouble ends, so that every run can end
    cuts: list[Cut] = field(default_factory=list)
    _last: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def send(self, source: str, target: str, kind: str, deliver: Callable[[], None]) -> None:
        """Send on the connection ``kind`` of two peers."""
        world = self.world
        if world.now_ns < self.lossless_after_ns and world.random.random() < self.loss:
            return
        arrival_ns = world.now_ns + world.random.randint(*self.delay_ns)
        for cut in self.cuts:
            if cut.has(source, target, world.now_ns, arrival_ns):
                if not cut.keeps:
                    return
                arrival_ns = cut.end_ns + world.random.randint(*self.delay_ns)
        link = (source, target, kind)
        last_ns = self._last.get(link, 0)
        self._last[link] = arrival_ns = arrival_ns if arrival_ns > last_ns else last_ns + 1
        world.at(arrival_ns, deliver)


class Alarm:
    """Calls a function at a deadline that may move."""

    def __init__(self, world: World, ring: Callable[[], None]) -> None:
        self._world = world
        self._ring = ring
        self._armed_ns: int | None = None

    def set(self, deadline_ns: int | None) -> None:
        """Have it ring at this instant (world time), if not earlier."""
        if deadline_ns is None or (self._armed_ns is not None and self._armed_ns <= deadline_ns):
            return
        self._armed_ns = deadline_ns
        self._world.at(deadline_ns, lambda: self._fire(deadline_ns))

    def _fire(self, deadline_ns: int) -> None:
        if self._armed_ns == deadline_ns:
            self._armed_ns = None
            self._ring()

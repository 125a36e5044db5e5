"""What carries the words of a go: links that delay, lose, reorder and are cut, and turns that come late."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.world import MS, World


@dataclass
class Link:
    """One direction between the broker and a peer.  Nothing keeps its order: there are two sockets."""

    world: World
    base_ns: int
    jitter_ns: int
    loss: float
    tail: float = 0.0  # share of what is held up: by a queue, by a retransmission
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def send(self, deliver: Callable[[], None]) -> None:
        """Deliver after a while, or not at all."""
        random, now_ns = self.world.random, self.world.now_ns
        if (self.loss and random.random() < self.loss) or (self.cuts and self.is_cut(now_ns)):
            return
        delay_ns = self.base_ns + (random.randrange(self.jitter_ns) if self.jitter_ns else 0)
        if self.tail and random.random() < self.tail:
            delay_ns += random.randrange(60 * MS)
        arrival_ns = now_ns + delay_ns
        if not self.cuts or not self.is_cut(arrival_ns):
            self.world.at(arrival_ns, deliver)

    def is_cut(self, at_ns: int) -> bool:
        """Whether nothing passes at an instant."""
        return any(begin <= at_ns < end for begin, end in self.cuts)

    def open_ns(self, from_ns: int) -> int:
        """Return when it next passes anything."""
        return max([from_ns, *(end for begin, end in self.cuts if begin <= from_ns < end)])


class Turns:
    """One process: what comes to it while it is stalled it takes when it goes on, in the order it came."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stalls: list[tuple[int, int]] = []
        self.alive = True
        self.life = 0

    def take(self, event: Callable[[], None]) -> None:
        """Let it do something now, or when it can, if it lives then."""
        if not self.stalls:
            if self.alive:
                event()
            return
        life = self.life
        until_ns = max([0, *(end for begin, end in self.stalls if begin <= self.world.now_ns < end)])

        def act() -> None:
            if self.alive and self.life == life:
                event()

        if until_ns:
            self.world.at(until_ns, act)
        else:
            act()

    def is_stalled(self, begin_ns: int, end_ns: int) -> bool:
        """Whether it did nothing in some part of an interval."""
        return any(begin < end_ns and end > begin_ns for begin, end in self.stalls)

    def die(self) -> None:
        """Be gone, with all that has not been done."""
        self.alive = False
        self.life += 1

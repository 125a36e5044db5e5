"""Who stands at the doors and has not said who he is: how many, of one address and in all, and how long.

A connection takes a descriptor from the moment at which it is accepted, whatever comes of it.  One that has
spoken with a known key is known; its address may have more that wait, for a lab behind one address comes back
all at once.

Where an address has too many, the oldest gives way if it has had its time for a handshake and a hello, else
the newest: so each that is let in has that time, whatever comes after it, and nobody keeps a place by saying
nothing.  A good peer that comes from the address of a flood gets in after some tries.
"""

from collections import Counter
from dataclasses import dataclass

from broker.limits import HELLO_NS, KNOWN_CREDIT, SILENT_OF_ADDRESS, STRANGER_NS


@dataclass(frozen=True, slots=True)
class _Guest:
    address: str
    since_ns: int
    must_speak: bool


class Crowd:
    """The open connections by descriptor.  ``now_ns`` is fabric time.

    Args:
        most: Strangers in all.
        most_of_address: Strangers of one address of which nobody is known.
        most_lines: Connections in all, whoever has them: beyond it the process could open no file any more.
    """

    def __init__(self, most: int, most_of_address: int, most_lines: int) -> None:
        self._most, self._most_of_address, self._most_lines = most, most_of_address, most_lines
        self._waiting: dict[int, _Guest] = {}  # as they came
        self._of_address: dict[str, dict[int, None]] = {}  # those that wait, as they came
        self._known: dict[int, str] = {}
        self._known_of: Counter[str] = Counter()
        self._silent: dict[int, str] = {}  # have shown a known key, as they are open still, and said nothing
        self._silent_of: Counter[str] = Counter()

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        first = next(iter(self._waiting.values()), None)
        return None if first is None else first.since_ns + STRANGER_NS

    @property
    def fds(self) -> list[int]:
        """The descriptors of all connections."""
        return [*self._waiting, *self._known, *self._silent]

    @property
    def lines(self) -> int:
        """How many connections are open."""
        return len(self._waiting) + len(self._known) + len(self._silent)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another connection, though all of them were known."""
        return self.lines >= self._most_lines

    def arrived(self, fd: int, address: str, now_ns: int, *, must_speak: bool) -> list[int]:
        """Take note of a new connection; return which to hang up on.

        Of an address that has too many it is one of its own; of all addresses the oldest of the one that has
        the most, so that a crowd does not keep others out.
        """
        self.gone(fd)
        theirs = self._of_address.setdefault(address, {})
        self._waiting[fd] = _Guest(address, now_ns, must_speak)
        theirs[fd] = None
        if len(theirs) > self._most_of_address + KNOWN_CREDIT * self._known_of[address]:
            oldest = next(iter(theirs))
            has_had_time = now_ns - self._waiting[oldest].since_ns >= HELLO_NS
            return self._give_way(oldest if has_had_time else fd)
        if len(self._waiting) > self._most or self.lines > self._most_lines:
            largest = max(self._of_address.values(), key=len)
            return self._give_way(next(iter(largest)))
        return []

    def _give_way(self, fd: int) -> list[int]:
        self.gone(fd)
        return [fd]

    def known(self, fd: int) -> None:
        """A known key has spoken by this connection."""
        guest = self._waiting.get(fd)
        address = guest.address if guest is not None else self._silent.get(fd)
        if address is not None:
            self.gone(fd)
            self._known[fd] = address
            self._known_of[address] += 1

    def gone(self, fd: int) -> None:
        """This connection is over.  May be repeated."""
        for lines, count in ((self._known, self._known_of), (self._silent, self._silent_of)):
            if (address := lines.pop(fd, None)) is not None:
                count[address] -= 1
                if not count[address]:
                    del count[address]
        guest = self._waiting.pop(fd, None)
        if guest is not None:
            theirs = self._of_address[guest.address]
            del theirs[fd]
            if not theirs:
                del self._of_address[guest.address]

    def expire(self, now_ns: int) -> list[int]:
        """Return which to hang up on because they have said nothing.  Safe to call at any time.

        Where a known key need not speak, ZeroMQ has closed whoever has not shown one by now; but a key must
        not take all places by lines that say nothing.
        """
        refused: list[int] = []
        while (deadline_ns := self.deadline_ns) is not None and now_ns >= deadline_ns:
            fd, guest = next(iter(self._waiting.items()))
            self.gone(fd)
            room = SILENT_OF_ADDRESS + KNOWN_CREDIT * self._known_of[guest.address]
            if guest.must_speak or self._silent_of[guest.address] >= room:
                refused.append(fd)
            else:
                self._silent[fd] = guest.address
                self._silent_of[guest.address] += 1
        return refused

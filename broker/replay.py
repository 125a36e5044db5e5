"""Who waits for stored records: one request is answered each turn, peers one after another."""

from collections import deque

from broker.effects import AnswerReplay
from broker.limits import MAX_REPLAYS, REPLAYS_PER_PEER


class ReplayQueue:
    """Holds requests until the shell has time for one.

    Reading a log takes up to milliseconds, so a crowd of readers must not fill a turn: records and goes come
    first.  Each peer has its turn after the others, however much it asks for.
    """

    def __init__(self) -> None:
        self._by_peer: dict[bytes, deque[AnswerReplay]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def put(self, request: AnswerReplay) -> bool:
        """Keep a request; return False if too many wait, then the reader has to ask again."""
        waiting = self._by_peer.setdefault(request.peer.routing, deque())
        if len(waiting) >= REPLAYS_PER_PEER or self._count >= MAX_REPLAYS:
            if not waiting:
                del self._by_peer[request.peer.routing]
            return False
        waiting.append(request)
        self._count += 1
        return True

    def take(self) -> AnswerReplay | None:
        """Return the request whose turn it is; None if none waits."""
        if not self._by_peer:
            return None
        routing = next(iter(self._by_peer))
        waiting = self._by_peer.pop(routing)
        request = waiting.popleft()
        if waiting:
            self._by_peer[routing] = waiting  # behind all others
        self._count -= 1
        return request

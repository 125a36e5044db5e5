"""PURE.  Which requests for parts of files are answered next.

A hundred nodes that put a file ask for a hundred megabytes at once.  What was answered lies in queues until
the node has it, before the words that steer the run; so only a little of it is let out at a time, to one node
after another.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from fabric.protocol.limits import FILE_PART_BYTES, FILE_PARTS
from fabric.protocol.messages import FileRequest

OUT_BYTES: Final = 8 << 20
"""Answered and not known to have arrived, of all nodes: 80 ms at 100 MB/s."""

MAX_PULLS: Final = 10_000
"""Most pairs of node and file that are remembered at one time."""

LOST_NS: Final = 2_000_000_000
"""What was answered so long ago has arrived, or is asked for again."""

_BEHIND_BYTES: Final = (FILE_PARTS - 1) * FILE_PART_BYTES
"""A node has all that lies so far before what it asks for."""


@dataclass(slots=True)
class _Pull:
    """What a node has asked for of a file, and what it was given: since when that is on its way."""

    asked: deque[FileRequest] = field(default_factory=deque)
    given: deque[tuple[int, FileRequest]] = field(default_factory=deque)


class Handout:
    """Keeps requests until it is their turn.  Instants are nanoseconds of one monotonic clock."""

    def __init__(self) -> None:
        self._pulls: OrderedDict[tuple[str, str], _Pull] = OrderedDict()  # whose turn it is comes first
        self._out_bytes = 0

    @property
    def deadline_ns(self) -> int | None:
        """When `take` has something though nothing came."""
        if not any(pull.asked for pull in self._pulls.values()):
            return None
        if self._out_bytes < OUT_BYTES:
            return 0
        return min(pull.given[0][0] for pull in self._pulls.values() if pull.given) + LOST_NS

    def ask(self, request: FileRequest) -> None:
        """Take a request.  It says what has arrived, too; one for no bytes says that all of the file has."""
        if not 0 <= request.size <= FILE_PART_BYTES or request.offset < 0:
            return
        key = (request.node, request.sha256)
        pull = self._pulls.get(key)
        if not request.size:
            if pull is not None:
                del self._pulls[key]
                self._out_bytes -= sum(given.size for _, given in pull.given)
            return
        if pull is None:
            if len(self._pulls) >= MAX_PULLS:
                return  # it asks again
            pull = self._pulls[key] = _Pull()
        self._note_arrived(pull, request)
        if request not in pull.asked and len(pull.asked) < FILE_PARTS:
            pull.asked.append(request)

    def take(self, now_ns: int) -> FileRequest | None:
        """Return the request to answer now, if one may be."""
        self._note_lost(now_ns)
        if self._out_bytes >= OUT_BYTES:
            return None
        for key, pull in self._pulls.items():
            if pull.asked:
                request = pull.asked.popleft()
                pull.given.append((now_ns, request))
                self._out_bytes += request.size
                self._pulls.move_to_end(key)
                return request
        return None

    def _note_arrived(self, pull: _Pull, request: FileRequest) -> None:
        """A node asks for a part when it has one more, or again from the first that did not come."""
        has_to = request.offset - _BEHIND_BYTES
        kept: deque[tuple[int, FileRequest]] = deque()
        for since_ns, given in pull.given:
            if given.offset + given.size <= has_to or given.offset == request.offset:
                self._out_bytes -= given.size
            else:
                kept.append((since_ns, given))
        pull.given = kept

    def _note_lost(self, now_ns: int) -> None:
        for key, pull in list(self._pulls.items()):
            while pull.given and now_ns - pull.given[0][0] >= LOST_NS:
                self._out_bytes -= pull.given.popleft()[1].size
            if not pull.given and not pull.asked:
                del self._pulls[key]

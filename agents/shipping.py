"""From the journals to the sink: in order, inside the window, again if nothing is heard of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from agents.journal import Journal, Shipment
from agents.journal.transfer import REFUSALS
from fabric.protocol.messages import Acknowledged, JournalHead, Resend

RESEND_NS: Final = 2_000_000_000
"""Records that are sent and not acknowledged for so long are sent again; a commit takes a hundredth of it."""

TURN_BATCHES: Final = 16
"""Most batches that go out in one turn of the loop, so that commands are heard in between."""


class Shipper:
    """Holds all journals of this node and sends what the sink has not stored.

    Args:
        send: Send two frames to the sink; False if it cannot take them now.
    """

    def __init__(self, send: Callable[[Shipment], bool]) -> None:
        self._send = send
        self._journals: dict[tuple[str, int], Journal] = {}
        self._waiting: Shipment | None = None  # did not fit into the socket
        self._progress_ns: dict[tuple[str, int], int] = {}

    def add(self, journal: Journal) -> None:
        """Ship this one too; the oldest come first."""
        self._journals[journal.run, journal.incarnation] = journal

    @property
    def journals(self) -> list[Journal]:
        """All journals, the oldest first."""
        return list(self._journals.values())

    @property
    def heads(self) -> tuple[JournalHead, ...]:
        """What the hello says of the journals."""
        return tuple(JournalHead(run=run, incarnation=life) for run, life in self._journals)

    @property
    def deadline_ns(self) -> int | None:
        """When unanswered records are sent again; None while none can be sent: then the socket tells."""
        if self._waiting is not None:
            return None
        return min((at + RESEND_NS for at in self._progress_ns.values()), default=None)

    def restart(self) -> None:
        """The connection is gone: what was on its way may be lost, and nothing is due before the next one."""
        self._waiting = None
        for journal in self._journals.values():
            journal.rewind(journal.acknowledged + 1)
        self._progress_ns.clear()

    def push(self, now_ns: int) -> bool:
        """Send what there is, up to a turn's share; True if there may be more to send at once."""
        if self._waiting is not None and not self._try(self._waiting):
            return False
        left = TURN_BATCHES
        for key, journal in self._journals.items():
            self._rewind_if_unanswered(key, journal, now_ns)
            while left and (shipment := _next_batch(journal)) is not None:
                self._progress_ns.setdefault(key, now_ns)
                left -= 1
                if not self._try(shipment):
                    return False
        return left == 0

    def acknowledged(self, message: Acknowledged, now_ns: int) -> Journal | None:
        """Free what is stored; return the journal if it is one of ours."""
        key = (message.run, message.incarnation)
        journal = self._journals.get(key)
        if journal is None:
            return None
        before = journal.acknowledged
        with _waiting_for_files(journal):  # what cannot be freed now is freed with the next one
            journal.acknowledge(message.number)
        if journal.acknowledged > before:
            self._note_progress(key, journal, now_ns)
        return journal

    def resend(self, message: Resend) -> None:
        """Send again from a number on."""
        journal = self._journals.get((message.run, message.incarnation))
        if journal is not None and journal.acknowledged < message.number <= journal.sent:
            journal.rewind(message.number)

    def drop(self, run: str, incarnation: int) -> Journal | None:
        """Send nothing more of a journal that the broker has no run for; return it if it is one of ours."""
        return self._take(run, incarnation)

    def remove(self, run: str, incarnation: int) -> None:
        """Delete a journal that is shipped."""
        journal = self._take(run, incarnation)
        if journal is not None:
            journal.remove()

    def _take(self, run: str, incarnation: int) -> Journal | None:
        self._progress_ns.pop((run, incarnation), None)
        return self._journals.pop((run, incarnation), None)

    def _try(self, shipment: Shipment) -> bool:
        sent = self._send(shipment)
        self._waiting = None if sent else shipment
        return sent

    def _note_progress(self, key: tuple[str, int], journal: Journal, now_ns: int) -> None:
        if journal.sent > journal.acknowledged:
            self._progress_ns[key] = now_ns
        else:
            self._progress_ns.pop(key, None)

    def _rewind_if_unanswered(self, key: tuple[str, int], journal: Journal, now_ns: int) -> None:
        since_ns = self._progress_ns.get(key)
        if since_ns is not None and now_ns - since_ns >= RESEND_NS:
            journal.rewind(journal.acknowledged + 1)
            self._progress_ns[key] = now_ns


def _next_batch(journal: Journal) -> Shipment | None:
    """Return the next batch; None also while files cannot be read, after which it is tried again."""
    sent = journal.sent
    if sent == journal.appended:
        return None  # as in most turns
    with _waiting_for_files(journal):
        return journal.next_batch()
    journal.rewind(sent + 1)
    return None


@contextmanager
def _waiting_for_files(journal: Journal) -> Iterator[None]:
    """Note whether the files of a journal can be used; an error of them that may pass ends the block."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        journal.backlog.is_unread = True
    else:
        journal.backlog.is_unread = False

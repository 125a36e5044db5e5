"""The sink: every record of every source stored once, in order, and acknowledged when it is durable."""

from collections import Counter, deque
from dataclasses import dataclass, field, replace

from broker.effects import Bytes, Effect, Indexed, LogState, Store, ToController, ToNode
from broker.limits import ANSWER_EVERY_NS, JOURNALS_OF_SOURCE, REPEAT_NS
from broker.records import INDEXED
from fabric.protocol.codec import encode
from fabric.protocol.messages import Acknowledged, Append, Batch, EntryHead, Resend
from fabric.protocol.names import CONTROLLER
from fabric.protocol.records import Notice, Record, payload_size


@dataclass(slots=True)
class _Journal:
    """How far the journal of one incarnation of a source has come."""

    appended: int  # number of the last record in the log
    durable: int  # number of the last record that is on the disk
    answer_ns: int = 0  # before that no other Resend or repeated Acknowledged


@dataclass(slots=True)
class _Log:
    """A run's record log, as far as the sink has to know it."""

    last: int  # the run's number of its last record
    durable: int  # the run's number of its last record that is on the disk
    journals: dict[tuple[str, int], _Journal]
    counts: Counter[str] = field(default_factory=Counter)  # journals of each source
    pending: deque[tuple[int, str, int, int]] = field(default_factory=deque)
    """Appended, not yet durable: the run's last number, source, incarnation, the journal's last number.
    What sources may have under way (WINDOW_RECORDS) bounds it."""


class Sink:
    """Drops what came twice, asks again for what is missing, numbers the rest.

    A batch that reaches it is well formed, comes from ``source`` and belongs to an opened run (see Broker).
    ``now_ns`` is fabric time.
    """

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}
        self.is_stalled = False
        self._unheard: set[tuple[str, str, int]] = set()  # whose records came while stalled
        self._gaps: dict[tuple[str, str, int], int] = {}  # journal to when it is asked again

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        return min(self._gaps.values(), default=None)

    def open(self, run: str, state: LogState) -> None:
        """Take a run's log into account; everything that it holds is durable."""
        journals = {key: _Journal(number, number) for key, number in state.journals.items()}
        counts = Counter(source for source, _ in journals)
        self._logs.setdefault(run, _Log(state.last, state.last, journals, counts))

    def close(self, run: str) -> None:
        """Forget a run.  It can be opened again."""
        self._logs.pop(run, None)
        self._gaps = {key: due for key, due in self._gaps.items() if key[0] != run}

    def reopen(self, run: str, state: LogState) -> list[Effect]:
        """Take over what a log really holds after it failed, and ask every source for what follows."""
        if run not in self._logs:
            return []
        known = self._logs[run].journals
        self.close(run)
        self.open(run, state)
        return [
            _to(run, source, Resend(run=run, incarnation=inc, number=self.next(run, source, inc)))
            for source, inc in known
        ]

    def is_idle(self, run: str) -> bool:
        """Say whether everything that was appended to the run is durable."""
        log = self._logs.get(run)
        return log is None or not log.pending

    def last(self, run: str) -> int:
        """Return the run's number of its last record, 0 if there is none."""
        return self._logs[run].last if run in self._logs else 0

    def last_durable(self, run: str) -> int:
        """Return the run's number of its last durable record, 0 if there is none."""
        return self._logs[run].durable if run in self._logs else 0

    def durable(self, run: str, source: str, incarnation: int) -> int:
        """Return the number of the last durable record of a journal, 0 if there is none."""
        journal = self._logs[run].journals.get((source, incarnation))
        return 0 if journal is None else journal.durable

    def next(self, run: str, source: str, incarnation: int) -> int:
        """Return the number of the record that a journal has to bring next."""
        journal = self._logs[run].journals.get((source, incarnation))
        return 1 if journal is None else journal.appended + 1

    def refuses(self, run: str, source: str, incarnation: int) -> str:
        """Say why another journal of a source is not taken, or nothing if it is."""
        log = self._logs[run]
        if (source, incarnation) in log.journals or log.counts[source] < JOURNALS_OF_SOURCE:
            return ""
        return f"it has {JOURNALS_OF_SOURCE} journals in run {run} already, which is the limit"

    def receive(
        self, source: str, batch: Batch | Append, frame: Bytes | None, payload: Bytes, now_ns: int
    ) -> list[Effect]:
        """Take records of a journal that `refuses` does not.

        ``frame`` is the batch as it came, None if it must be made.
        """
        key = (source, batch.incarnation)
        if self.is_stalled:
            self._unheard.add((batch.run, *key))
            return []
        log = self._logs[batch.run]
        journal = log.journals.get(key)
        if journal is None:
            journal = log.journals[key] = _Journal(0, 0)
            log.counts[source] += 1
        expected = journal.appended + 1
        if isinstance(batch, Batch) and batch.gone >= expected:
            return _pass_over(log, journal, source, batch, now_ns) + self.receive(
                source, batch, frame, payload, now_ns
            )
        if batch.first > expected:
            return self._missing(journal, (batch.run, *key), expected, now_ns)
        behind = expected - batch.first
        if behind >= len(batch.records):
            return _repeated(journal, source, batch, now_ns)
        self._gaps.pop((batch.run, *key), None)
        if behind:
            frame, payload = None, payload[sum(map(payload_size, batch.records[:behind])) :]
            batch = replace(batch, first=expected, records=batch.records[behind:])
        return _append(log, journal, source, batch, frame, payload)

    def _missing(
        self, journal: _Journal, key: tuple[str, str, int], expected: int, now_ns: int
    ) -> list[Effect]:
        """Ask for what is missing, but not for each batch of a window that follows the gap."""
        if now_ns < journal.answer_ns:
            return []
        journal.answer_ns = self._gaps[key] = now_ns + ANSWER_EVERY_NS
        run, source, incarnation = key
        return [_to(run, source, Resend(run=run, incarnation=incarnation, number=expected))]

    def expire(self, now_ns: int) -> list[Effect]:
        """Ask again where a gap was not filled: a full window brings no batch that would show it."""
        effects: list[Effect] = []
        for key in [key for key, due in self._gaps.items() if now_ns >= due]:
            self._gaps[key] = now_ns + REPEAT_NS
            run, source, incarnation = key
            number = self.next(run, source, incarnation)
            effects.append(_to(run, source, Resend(run=run, incarnation=incarnation, number=number)))
        return effects

    def committed(self, run: str, number: int) -> list[Effect]:
        """Acknowledge what is durable: all of the run up to ``number``.  One message for each journal."""
        log = self._logs.get(run)
        if log is None:
            return []
        reached: dict[tuple[str, int], int] = {}
        while log.pending and log.pending[0][0] <= number:
            log.durable, source, incarnation, last = log.pending.popleft()
            reached[source, incarnation] = last
        for key, last in reached.items():
            log.journals[key].durable = last
        return [
            _to(run, source, Acknowledged(run=run, incarnation=incarnation, number=last))
            for (source, incarnation), last in reached.items()
        ]

    def stall(self) -> None:
        """Take nothing more: the disk does not."""
        self.is_stalled = True

    def resume(self) -> list[Effect]:
        """Take records again, and ask for those that came meanwhile."""
        self.is_stalled = False
        unheard, self._unheard = sorted(self._unheard), set()
        return [
            _to(run, source, Resend(run=run, incarnation=inc, number=self.next(run, source, inc)))
            for run, source, inc in unheard
            if run in self._logs
        ]


def _append(  # noqa: PLR0917 - one call per batch on the way of the records
    log: _Log, journal: _Journal, source: str, batch: Batch | Append, frame: Bytes | None, payload: Bytes
) -> list[Effect]:
    """Number new records, all of them; an `Append` and what is left of a `Batch` become one of their own."""
    records = batch.records
    head = EntryHead(
        number=log.last + 1,
        count=len(records),
        node=source,
        incarnation=batch.incarnation,
        first=batch.first,
    )
    if frame is None:
        frame = encode(
            Batch(run=batch.run, incarnation=batch.incarnation, first=batch.first, records=records)
        )
    log.last += len(records)
    journal.appended = batch.first + len(records) - 1
    log.pending.append((log.last, source, batch.incarnation, journal.appended))
    return [Store(batch.run, head, frame, payload, _indexed(records))]


def _pass_over(log: _Log, journal: _Journal, source: str, batch: Batch, now_ns: int) -> list[Effect]:
    """Say in place of records that nobody has any more that they are gone: asking would never end.

    They were acknowledged, so they were in the log; a copy of an earlier state of it has replaced that.
    """
    first = journal.appended + 1
    which = f"record {first}" if first == batch.gone else f"records {first} to {batch.gone}"
    said = f"{which} of {source} are missing: they were stored, and what the broker has now is of before that"
    notice = Notice(t_ns=now_ns, bound_ns=0, level="error", message=said)
    told = Batch(run=batch.run, incarnation=batch.incarnation, first=batch.gone, records=(notice,))
    return _append(log, journal, source, told, None, b"")


def _indexed(records: tuple[Record, ...]) -> tuple[Indexed, ...]:
    return tuple(record for record in records if isinstance(record, INDEXED))


def _repeated(journal: _Journal, source: str, batch: Batch | Append, now_ns: int) -> list[Effect]:
    """Say again what is durable to a source that repeats itself, but not for each batch of a window."""
    if now_ns < journal.answer_ns:
        return []
    journal.answer_ns = now_ns + ANSWER_EVERY_NS
    number = journal.durable
    return [_to(batch.run, source, Acknowledged(run=batch.run, incarnation=batch.incarnation, number=number))]


def _to(run: str, source: str, message: Acknowledged | Resend) -> Effect:
    return ToController(run, message) if source == CONTROLLER else ToNode(source, message)

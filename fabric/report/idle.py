"""PURE.  Phases in which nothing was to be done: one line for all that follow one another."""

from collections.abc import Iterator

from fabric.protocol.records import PhaseEnded, PhaseFinished, PhaseStarted, Record
from fabric.report.sentences import Said, sentence_of


class IdlePhases:
    """Holds the start of a phase back until something happens in it, or it turns out that nothing does."""

    def __init__(self) -> None:
        self.since_ns: int | None = None
        """When what is held came, on the caller's clock."""
        self._started: PhaseStarted | None = None
        self._idle: list[PhaseEnded] = []

    def hold(self, record: Record, now_ns: int) -> bool:
        """Take a record that may be no news; whether it is told later, or not at all."""
        if isinstance(record, PhaseFinished):
            return not record.failed and self.since_ns is not None
        if isinstance(record, PhaseStarted) and self._started is None:
            self._started = record
        elif isinstance(record, PhaseEnded) and self._is_idle(record):
            self._started = None
            self._idle.append(record)
        else:
            return False
        self.since_ns = now_ns if self.since_ns is None else self.since_ns
        return True

    def flush(self) -> Iterator[tuple[int, Said]]:
        """Yield what was held as sentences, each with its instant in fabric time; nothing is held then."""
        idle, started = self._idle, self._started
        self._idle, self._started, self.since_ns = [], None, None
        if idle:
            names = ", ".join(record.phase for record in idle)
            yield idle[0].t_ns, Said(f"phase{'s' * (len(idle) > 1)} {names}: nothing to do")
        said = sentence_of(started) if started is not None else None
        if started is not None and said is not None:
            yield started.t_ns, said

    def _is_idle(self, record: PhaseEnded) -> bool:
        """Whether nothing else was told since the phase began."""
        return self._started is not None and self._started.phase == record.phase and not record.failed

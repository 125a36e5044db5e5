"""Runs that are closed: the ones that are remembered, and the ones that the catalogue is asked for."""

from collections.abc import Callable

from broker.effects import Effect, FindRun, RunFacts
from broker.limits import CLOSED_BEACON_NS, CLOSED_RUNS, MAX_WAITING

Then = Callable[[RunFacts | None, int], list[Effect]]
"""What is done when the catalogue has answered: takes the run or None, and fabric time."""


class Archive:
    """Remembers the runs that were closed or looked up last."""

    def __init__(self) -> None:
        self._runs: dict[str, RunFacts] = {}
        self._closed_ns: dict[str, int] = {}
        self._waiting: dict[str, list[Then]] = {}

    def add(self, facts: RunFacts, closed_ns: int | None = None) -> str:
        """Remember a run; ``closed_ns`` if it was closed just now.

        Returns:
            The run that is forgotten for it, or "".
        """
        self._runs.pop(facts.run, None)
        self._runs[facts.run] = facts
        if closed_ns is not None:
            self._closed_ns[facts.run] = closed_ns
        if len(self._runs) <= CLOSED_RUNS:
            return ""
        oldest = next(iter(self._runs))
        del self._runs[oldest]
        self._closed_ns.pop(oldest, None)
        return oldest

    def forget(self, run: str) -> None:
        """Forget a run that is to be deleted."""
        self._runs.pop(run, None)
        self._closed_ns.pop(run, None)

    def has_recent(self) -> bool:
        """Say whether `recent` may have something."""
        return bool(self._closed_ns)

    def recent(self, now_ns: int) -> list[str]:
        """Return the runs that were closed so lately that the feed still says so."""
        self._closed_ns = {run: at for run, at in self._closed_ns.items() if now_ns - at < CLOSED_BEACON_NS}
        return list(self._closed_ns)

    def ask(self, run: str, then: Then, now_ns: int) -> list[Effect]:
        """Do ``then`` with what is known of a run: at once, or when the catalogue has answered."""
        if run in self._runs:
            return then(self._runs[run], now_ns)
        waiting = self._waiting.setdefault(run, [])
        if len(waiting) >= MAX_WAITING:
            return []  # said again, as everything is that is not answered
        waiting.append(then)
        return [FindRun(run)] if len(waiting) == 1 else []

    def answered(self, run: str) -> list[Then]:
        """Return what waited for the catalogue's answer about a run."""
        return self._waiting.pop(run, [])

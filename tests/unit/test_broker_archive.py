"""Closed runs are remembered, and the catalogue is asked for the others."""

from broker.archive import Archive
from broker.effects import EMPTY_LOG, Effect, FindRun, RunFacts
from broker.limits import CLOSED_RUNS, MAX_WAITING

S = 1_000_000_000


def facts(run: str) -> RunFacts:
    return RunFacts(
        run=run,
        name="",
        operator="ann",
        nodes=(),
        opened_ns=0,
        lease_s=1.0,
        session="",
        verdict="pass",
        log=EMPTY_LOG,
    )


def test_the_catalogue_is_asked_once_however_many_wait() -> None:
    """A window of late batches is one question."""
    archive, seen = Archive(), []

    def then(found: RunFacts | None, now_ns: int) -> list[Effect]:
        seen.append((found, now_ns))
        return []

    assert archive.ask("a", then, S) == [FindRun("a")]
    assert archive.ask("a", then, S) == []
    for waiting in archive.answered("a"):
        waiting(None, 2 * S)
    assert seen == [(None, 2 * S)] * 2
    assert archive.answered("a") == []


def test_what_is_remembered_is_not_asked_for() -> None:
    """The answer comes at once."""
    archive = Archive()
    archive.add(facts("a"))
    found: list[RunFacts | None] = []
    assert archive.ask("a", lambda run, _: found.append(run) or [], S) == []
    assert found == [facts("a")]


def test_the_oldest_is_forgotten_and_named() -> None:
    """A broker runs for years; its memory of runs does not grow."""
    archive = Archive()
    forgotten = [archive.add(facts(str(number)), S) for number in range(CLOSED_RUNS + 1)]
    assert forgotten == [""] * CLOSED_RUNS + ["0"]
    assert "0" not in archive.recent(S)


def test_few_wait_for_one_answer() -> None:
    """A catalogue that does not answer must not fill the memory."""
    archive = Archive()
    for _ in range(MAX_WAITING + 5):
        archive.ask("a", lambda _run, _now: [], S)
    assert len(archive.answered("a")) == MAX_WAITING

"""What is kept of the stored runs, and what is too much."""

import pytest

from broker.limits import YOUNG_NS, S
from broker.retention import Keep, Reads, Stored, Surplus, next_unread, parse_keep, surplus, why_ages_wait
from fabric.errors import UsageError

DAY_NS = 86_400 * S
NOW_NS = 1_000 * DAY_NS


def stored(name: str, days: float, size: int = 10) -> Stored:
    return Stored(name, NOW_NS - round(days * DAY_NS), size)


def gone(keep: Keep, *runs: Stored, open_bytes: int = 0) -> list[str]:
    return [one.run.run for one in surplus(keep, runs, open_bytes, NOW_NS)]


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("14d", Keep(14 * DAY_NS)),
        ("20GB", Keep(None, 20 * 10**9)),
        ("2w, 64 MiB", Keep(14 * DAY_NS, 64 << 20)),
        ("1GiB,1.5h", Keep(5400 * S, 1 << 30)),
    ],
)
def test_what_is_kept_is_an_age_an_amount_or_both(text: str, keep: Keep) -> None:
    """In any order, with the units of trials and with days and weeks."""
    assert parse_keep(text) == keep


@pytest.mark.parametrize("text", ["", "14", "14d,2d", "1GB,2GB", "0d", "-1d", "14 days", "10 MB", "1s,1s,1s"])
def test_what_is_not_clear_deletes_nothing(text: str) -> None:
    """A slip here costs results."""
    with pytest.raises(UsageError):
        parse_keep(text)


def test_old_runs_go_and_young_ones_stay() -> None:
    """By their end, not by their beginning; the oldest first."""
    runs = [stored("b", 20), stored("a", 15), stored("c", 13), stored("d", 400)]
    assert gone(Keep(14 * DAY_NS), *runs) == ["d", "b", "a"]


@pytest.mark.parametrize(
    ("newest_days", "up_days", "set_by_days", "is_believed"),
    [(0.9, 0, 0, True), (1.1, 0, 0, False), (1.1, 1.0, 0, True), (0, 0, 1.1, False), (0, 5, -1.1, False)],
)
def test_ages_wait_for_a_day_where_the_clock_may_be_wrong(
    newest_days: float, up_days: float, set_by_days: float, is_believed: bool
) -> None:
    """A machine that comes up in another year would delete every run that there is."""
    begun_ns = NOW_NS - round(up_days * DAY_NS)
    newest_ns = begun_ns - round(newest_days * DAY_NS)
    wall_ns = NOW_NS + round(set_by_days * DAY_NS)
    assert (why_ages_wait(newest_ns, begun_ns, wall_ns, NOW_NS) == "") is is_believed


def test_so_many_go_that_the_rest_fits() -> None:
    """And not one more."""
    runs = [stored("old", 3, 30), stored("middle", 2, 30), stored("new", 1, 30)]
    assert gone(Keep(None, 90), *runs) == []
    assert gone(Keep(None, 89), *runs) == ["old"]
    assert gone(Keep(None, 50), *runs) == ["old", "middle"]


def test_open_runs_count_and_stay() -> None:
    """The disk is full of them, too."""
    runs = [stored("old", 3, 30), stored("new", 1, 30)]
    assert gone(Keep(None, 90), *runs, open_bytes=40) == ["old"]


def test_a_run_that_has_just_ended_stays() -> None:
    """Its bundle may be being made; even if it is larger than all that is kept."""
    young = Stored("young", NOW_NS - YOUNG_NS + 1, 100)
    assert gone(Keep(1, 10), stored("old", 1), young) == ["old"]


def test_what_is_read_waits_and_nothing_younger_goes_for_it() -> None:
    """A reader keeps its run for as long as it reads; it costs nobody else's."""
    reads = Reads(limit=2, quiet_ns=60 * S)
    runs = [stored("old", 3, 30), stored("middle", 2, 30), stored("new", 1, 30)]
    queue = surplus(Keep(None, 60), runs, 0, NOW_NS)
    reads.note("old", NOW_NS)
    assert next_unread(queue, reads, NOW_NS + 59 * S) is None
    assert next_unread(queue, reads, NOW_NS + 60 * S) == Surplus(runs[0], "more bytes than are kept")


def test_readers_are_remembered_up_to_a_limit() -> None:
    """Who asks for many runs fills no memory."""
    reads = Reads(limit=2, quiet_ns=60 * S)
    for run in ("a", "b", "a", "c"):
        reads.note(run, NOW_NS)
    assert [reads.is_read(run, NOW_NS) for run in "abc"] == [True, False, True]

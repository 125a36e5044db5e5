"""How much earlier than it was seen a program may have ended."""

from agents.launcher.looks import AT_ONCE_NS, Looks

MS = 1_000_000


def test_what_ends_a_wait_is_seen_at_once() -> None:
    """The instant of such an end is right, and nothing has to be said of it."""
    looks = Looks(now_ns=0)
    assert looks.away_ns(began_ns=10, ended_ns=10 + 7 * MS) == 0


def test_what_was_there_before_the_wait_is_as_old_as_the_last_look_at_most() -> None:
    """A launcher that lets programs run after their release finds their ends when it comes back."""
    looks = Looks(now_ns=0)
    looks.away_ns(began_ns=0, ended_ns=5 * MS)
    assert looks.away_ns(began_ns=36 * MS, ended_ns=36 * MS + AT_ONCE_NS - 1) == 31 * MS + AT_ONCE_NS - 1


def test_each_look_begins_anew() -> None:
    """Else an end would be said to be older than the look before it, which did not find it."""
    looks = Looks(now_ns=0)
    looks.away_ns(began_ns=30 * MS, ended_ns=30 * MS)
    assert looks.away_ns(began_ns=31 * MS, ended_ns=31 * MS) == MS
    assert looks.away_ns(began_ns=31 * MS, ended_ns=31 * MS + AT_ONCE_NS) == 0

"""How often is looked whether a step is ready, and what is said when it is not."""

import signal

import pytest

from agents.readiness import CMD_NS, GROUP_CHARS, LOOK_NS, Readiness
from fabric.protocol.messages import ReadyWhen

MS = 1_000_000
S = 1000 * MS


@pytest.mark.parametrize(
    ("when", "pauses"), [(ReadyWhen(file="x"), LOOK_NS), (ReadyWhen(cmd=("x",)), CMD_NS)]
)
def test_pauses_grow_to_their_limit_and_looks_do_not_overlap(
    when: ReadyWhen, pauses: tuple[int, int]
) -> None:
    """A look may take long, and a command is a process."""
    readiness = Readiness(when)
    assert readiness.deadline_ns is None
    readiness.begin(0)
    now_ns, found = 0, []
    for _ in range(12):
        assert readiness.is_due(now_ns)
        assert not readiness.is_due(now_ns + S)  # until it is known what came of this one
        readiness.seen("", now_ns)
        assert readiness.deadline_ns is not None
        found.append(readiness.deadline_ns - now_ns)
        now_ns = readiness.deadline_ns
    assert (found[0], found[-1]) == pauses
    assert found == sorted(found)


def test_the_limit_counts_from_the_start_and_ends_a_look_that_hangs() -> None:
    """`within` is what a person waits for."""
    readiness = Readiness(ReadyWhen(file="x", within_s=2.0))
    readiness.begin(5 * S)
    readiness.is_due(5 * S)
    assert readiness.deadline_ns == 7 * S
    assert not readiness.is_late(7 * S - 1)
    assert readiness.is_late(7 * S)


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        (ReadyWhen(port=80), "nothing listens on port 80 within 30 s (seen)"),
        (ReadyWhen(log="a+"), "no line of its output matches 'a+' within 30 s"),
        (ReadyWhen(cmd=("/bin/sh", "-c", "a b")), "`a b` did not succeed within 30 s (seen)"),
        (ReadyWhen(cmd=("a", "b")), "`a b` did not succeed within 30 s (seen)"),
        (ReadyWhen(file="x/y"), "there is no file 'x/y' within 30 s"),
    ],
)
def test_what_was_waited_for_is_named(when: ReadyWhen, sentence: str) -> None:
    """The person who reads it knows the condition by what was written."""
    readiness = Readiness(when)
    readiness.begin(0)
    readiness.seen("seen", 0)
    assert readiness.lacking() == sentence


def test_an_expression_that_takes_for_ever_is_given_up() -> None:
    """It is a user's slip; an agent that hangs in it would be lost to everybody."""
    readiness = Readiness(ReadyWhen(log="(a+)+$"))
    readiness.begin(0)
    readiness.take("stdout", b"a" * 60 + b"!\n")
    assert not readiness.what
    assert not readiness.reads_output
    assert "took longer than" in readiness.lacking()


def test_a_flood_of_lines_is_searched_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """`yes` prints a million a second; a limit set for each made the agent silent for half a minute."""
    limits: list[float] = []
    setitimer = signal.setitimer
    monkeypatch.setattr(
        signal, "setitimer", lambda which, seconds: (limits.append(seconds), setitimer(which, seconds))[1]
    )
    readiness = Readiness(ReadyWhen(log="^here$"))
    readiness.begin(0)
    readiness.take("stdout", b"y\n" * 30_000)
    assert not readiness.what
    readiness.take("stdout", b"y\n" * 30_000 + b"here\n" + b"y\n" * 30_000)
    assert readiness.what == "its output has 'here'"
    assert len(limits) < 60


def test_one_long_line_is_searched_alone() -> None:
    """Or the limit would be for many searches that take their time."""
    readiness = Readiness(ReadyWhen(log="(a+)+$"))
    readiness.begin(0)
    readiness.take("stdout", b"b" * GROUP_CHARS + b"\n" + b"c" * GROUP_CHARS + b"\naa")
    assert readiness.what

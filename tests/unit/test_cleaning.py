"""Resets that are done again because somebody asks for it."""

from dataclasses import dataclass, field, replace

from agents.cleaning import NOTHING, UNREADABLE, Cleaning, Left
from fabric.protocol.messages import Assign, Clean, Cleaned, DirtyRun
from tests.unit.scripted_node import assign

OLD, NEW = "20260301-102207-ping-k3f9", "20260302-102207-ping-k3f9"


@dataclass
class Node:
    """The table in memory, and a reset that is over when the test says so."""

    left: dict[str, Left] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    said: list[Cleaned] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    is_full: bool = False
    cleaned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.cleaning = Cleaning("lab1", self, self.begin, self.said.append)

    @property
    def first(self) -> Left | None:
        return next(iter(self.left.values()), None)

    def has(self, run: str) -> bool:
        return run in self.left

    def add(self, run: str, why: str, assign: Assign | None) -> bool:
        self.left[run] = Left(DirtyRun(run=run, why=why, since_ns=0), assign)
        return True

    def forget(self, run: str) -> None:
        del self.left[run]
        self.cleaned += (run,)

    def begin(self, assign: Assign) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.begun.append(assign.run)

    def dirty(self, *runs: str) -> "Node":
        for run in runs:
            self.add(run, "exit 1", replace(assign(), run=run))
        return self

    def ask(self, clean: str = "c1", *, force: bool = False, run: str = OLD) -> None:
        message = Clean(request=1, node="lab1", clean=clean, force=force, run=run)
        self.cleaning.ask(message, is_busy=self.busy.__contains__)

    def end(self, run: str, why: str = "") -> None:
        self.cleaning.ended(run, why, replace(assign(), run=run))


def test_each_run_is_reset_and_then_the_node_is_clean() -> None:
    """One after the other; a repeated question begins nothing twice, and is answered again."""
    node = Node().dirty(OLD, NEW)
    node.ask()
    node.ask()
    assert (node.begun, node.said) == ([OLD], [])
    node.end(OLD)
    assert (node.begun, node.said) == ([OLD, NEW], [])
    node.end(NEW)
    assert node.said == [Cleaned(node="lab1", clean="c1", why="")]
    node.ask()
    assert (len(node.said), node.begun, node.left) == (2, [OLD, NEW], {})


def test_what_fails_again_is_told_and_stays() -> None:
    """Nothing is tried again by itself: a person has to look first."""
    node = Node().dirty(OLD, NEW)
    node.ask()
    node.end(OLD, "exit 2")
    assert node.said == [Cleaned(node="lab1", clean="c1", why="exit 2")]
    assert (node.left[OLD].told.why, node.begun) == ("exit 2", [OLD])
    node.ask("c2")
    assert node.begun == [OLD, OLD]


def test_what_was_cleaned_can_be_asked_for_again() -> None:
    """The first answer was lost, with the broker or on its way; of another run nothing is known here."""
    node = Node().dirty(OLD)
    node.ask("c1")
    node.end(OLD)
    node.ask("c2")
    node.ask("c3", run=NEW)
    assert [answer.why for answer in node.said] == ["", "", NOTHING]
    assert node.begun == [OLD]


def test_a_second_question_gets_the_answer_of_the_first_reset() -> None:
    """Who asked first may have gone home."""
    node = Node().dirty(OLD)
    node.ask("c1")
    node.ask("c2")
    assert node.begun == [OLD]
    node.end(OLD)
    assert node.said == [Cleaned(node="lab1", clean="c2", why="")]


def test_force_forgets() -> None:
    """A person has cleaned up: nothing is done."""
    node = Node().dirty(OLD, NEW)
    node.ask(force=True)
    assert (node.begun, node.left, node.said[0].why) == ([], {}, "")


def test_what_cannot_be_done_says_why() -> None:
    """And with which way out."""
    node = Node()
    node.ask("c1")
    assert node.said[-1].why == NOTHING
    node.add(OLD, UNREADABLE, None)
    node.ask("c2")
    assert UNREADABLE in node.said[-1].why
    assert "--force" in node.said[-1].why
    node.dirty(OLD).is_full = True
    node.ask("c3")
    assert "No space left" in node.said[-1].why


def test_a_reset_that_was_owed_and_went_well_makes_clean_without_a_question() -> None:
    """The agent died between its failing and the next life's doing it again."""
    node = Node().dirty(OLD)
    node.busy = {OLD}
    node.end(NEW)
    assert node.said == []
    node.end(OLD)
    assert node.said == [Cleaned(node="lab1", clean="", why="")]


def test_a_question_waits_for_a_reset_that_goes_on_anyway() -> None:
    """Two of one kind at one time would meet."""
    node = Node().dirty(OLD)
    node.busy = {OLD}
    node.ask()
    assert (node.begun, node.said) == ([], [])
    node.end(OLD)
    assert node.said == [Cleaned(node="lab1", clean="c1", why="")]

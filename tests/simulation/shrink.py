"""A story that fails, made shorter until nothing can be left out."""

from collections.abc import Callable, Iterator
from typing import Protocol, Self, TypeVar

MOST_TRIES = 400
"""A shorter story is worth a minute, not an hour."""


class Simpler(Protocol):
    """What can be made simpler."""

    def simpler(self) -> Iterator[Self]:
        """Yield simpler ones, the simplest first."""
        ...


T = TypeVar("T", bound=Simpler)


def shrunk(story: T, play: Callable[[T], object]) -> tuple[T, str]:
    """Return the shortest story found that fails still, and with what words.

    Args:
        story: One that fails.
        play: Raises AssertionError where it does.
    """
    words, tries = failure(story, play), 0
    assert words, "this story does not fail"
    candidates = story.simpler()
    while tries < MOST_TRIES and (found := next(candidates, None)) is not None:
        tries += 1
        told = failure(found, play)
        if told:
            story, words = found, told
            candidates = story.simpler()
    return story, words


def failure(story: T, play: Callable[[T], object]) -> str:
    """Return how a story fails, "" if it does not."""
    try:
        play(story)
    except AssertionError as error:
        return str(error) or repr(error)
    return ""


def check(story: T, play: Callable[[T], object]) -> None:
    """Play a story.

    Raises:
        AssertionError: With the shortest story that fails like it, to be kept as a test.
    """
    if failure(story, play):
        shortest, words = shrunk(story, play)
        raise AssertionError(f"{words}\n{shortest}\n{shortest!r}")

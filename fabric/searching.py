"""Regular expressions that others wrote, with a limit: some take years for a line of fifty characters."""

import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fabric.errors import FabricError


class SearchTooLong(FabricError):  # noqa: N818 - an event, named as what happened
    """The search was given up."""


@contextmanager
def bounded(limit_s: float) -> Iterator[None]:
    """Give the search in the block up after so long.

    Python's matcher looks for signals while it works; nothing else in the block should take long.  Only the
    main thread hears signals: in another one there is no limit.

    Raises:
        SearchTooLong: If it was.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_number: int, _frame: object) -> None:
        raise SearchTooLong(f"the search took longer than {limit_s:g} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def first_found(pattern: re.Pattern[str], texts: Iterable[str], limit_s: float) -> str | None:
    """Return the first text in which an expression is found; None if it is in none of them.

    The limit is for all of them together: to set it costs as much as some hundred easy searches.

    Raises:
        SearchTooLong: If that took too long to find out.
    """
    with bounded(limit_s):
        return next((text for text in texts if pattern.search(text)), None)

"""Searches that are given up."""

import re
import signal
import time

import pytest

from fabric.searching import SearchTooLong, first_found


def test_a_search_without_end_is_given_up() -> None:
    """(a+)+$ doubles its work with each character."""
    began_s = time.monotonic()
    with pytest.raises(SearchTooLong):
        first_found(re.compile("(a+)+$"), ["b", "a" * 60 + "!"], 0.1)
    assert time.monotonic() - began_s < 10


def test_a_search_that_ends_leaves_nothing_behind() -> None:
    """An alarm that comes later would end the process."""
    before = signal.getsignal(signal.SIGALRM)
    assert first_found(re.compile("b"), ["a", "abc", "b"], 60.0) == "abc"
    assert first_found(re.compile("x"), ["a", "abc"], 60.0) is None
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before

"""Searches that are given up."""

import re
import signal
import time

import pytest

from fabric.searching import SearchTooLong, search


def test_a_search_without_end_is_given_up() -> None:
    """(a+)+$ doubles its work with each character."""
    began_s = time.monotonic()
    with pytest.raises(SearchTooLong):
        search(re.compile("(a+)+$"), "a" * 60 + "!", 0.1)
    assert time.monotonic() - began_s < 10


def test_a_search_that_ends_leaves_nothing_behind() -> None:
    """An alarm that comes later would end the process."""
    before = signal.getsignal(signal.SIGALRM)
    assert search(re.compile("b"), "abc", 60.0)
    assert not search(re.compile("x"), "abc", 60.0)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before

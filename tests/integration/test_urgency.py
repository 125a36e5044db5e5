"""The priority of those who wait for a go: taken by all threads, given back, never from who chose himself."""

import os
import threading
from collections.abc import Iterator

import pytest

from fabric.urgency import PRIORITY, Urgency

URGENT = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK


@pytest.fixture(autouse=True)
def ordinary() -> Iterator[None]:
    """Leave this process as it was."""
    try:
        os.sched_setscheduler(0, URGENT, os.sched_param(PRIORITY))
    except PermissionError:
        pytest.skip("this user may not take real-time priorities")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def test_all_threads_are_urgent_as_long_as_it_is_wanted() -> None:
    """What ZeroMQ's thread has not read, the loop cannot answer."""
    wanted = [True]
    urgency = Urgency(lambda: wanted[0])
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        urgency.turned(0)
        assert thread.native_id is not None
        found = {os.sched_getscheduler(each) for each in (0, thread.native_id)}
        assert found == {URGENT}
        assert os.sched_getparam(0).sched_priority == PRIORITY
        wanted[0] = False
        urgency.turned(0)
        found = {os.sched_getscheduler(each) for each in (0, thread.native_id)}
        assert found == {os.SCHED_OTHER}
    finally:
        over.set()
        thread.join()


def test_who_was_given_a_priority_keeps_it() -> None:
    """Whoever starts an agent by `chrt` has a reason."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    urgency = Urgency(lambda: True)
    urgency.turned(0)
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (os.SCHED_RR, 5)


def test_who_may_not_goes_on_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent of an ordinary user works without."""
    tried: list[int] = []

    def refuse(thread: int, *_: object) -> None:
        tried.append(thread)
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    urgency = Urgency(lambda: True)
    urgency.turned(0)
    urgency.turned(0)
    monkeypatch.undo()
    assert len(tried) == 1

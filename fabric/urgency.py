"""Real-time priority for those moments in which others wait for this process: a go is under way.

A lab that measures keeps its nodes busy.  An ordinary process waits for a processor there, tens of
milliseconds at times; then a go is not confirmed before its instant, or worse, its abort is not read before.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIORITY: Final = 1
"""The least that there is: launchers, and programs in their first moment, come before."""

_URGENT: Final = (os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
_ORDINARY: Final = (os.SCHED_OTHER, os.sched_param(0))


class Urgency:
    """Gives the threads of this process the priority while it is wanted, where that is permitted.

    Args:
        is_wanted: Asked at the end of each turn of the loop.
    """

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._is_given = False
        self._is_permitted = os.sched_getscheduler(0) == os.SCHED_OTHER  # else somebody has chosen it

    def turned(self, _: int) -> None:
        """Take the priority, or give it back."""
        if self._is_permitted and self._is_wanted() != self._is_given:
            self._is_given = not self._is_given
            self._set(*(_URGENT if self._is_given else _ORDINARY))

    def _set(self, policy: int, parameter: os.sched_param) -> None:
        for thread in Path("/proc/self/task").iterdir():  # ZeroMQ's too
            try:
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(int(thread.name), policy, parameter)
            except PermissionError:
                self._is_permitted = False
                return

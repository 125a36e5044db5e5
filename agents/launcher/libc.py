"""Functions of the C library that Python has no name for, through the C half of ctypes."""

from __future__ import annotations

import _ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29
PR_GET_TIMERSLACK = 30
PR_SET_CHILD_SUBREAPER = 36

_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1
_NS = 1_000_000_000

LOCK_ROOM_BYTES = 48 << 20
"""What a locked launcher, which has 14 MiB, may grow by: with it it fits into the 64 MiB of the documents."""

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001 - its public name is ctypes.c_long
    _type_ = "l"


class _TimeSpec(_ctypes.Structure):
    _fields_ = (("s", _Long), ("ns", _Long))


def _function(name: str, arguments: int) -> Callable[..., int]:
    """Return a function of the C library that takes and returns longs; `error` has its errno."""

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = _Long
        _argtypes_ = (_Long,) * arguments

    return Function(_ctypes.dlsym(_ctypes.dlopen(None, 0), name))  # type: ignore[arg-type]


_prctl = _function("prctl", 5)
_clock_nanosleep = _function("clock_nanosleep", 4)
_mlockall = _function("mlockall", 1)
_munlockall = _function("munlockall", 0)
ptrace = _function("ptrace", 4)


def error() -> int:
    """Return the errno of the last call."""
    return _ctypes.get_errno()


def clear_error() -> None:
    """Forget the errno of the last call, before one whose result does not say whether it failed."""
    _ctypes.set_errno(0)


def prctl(option: int, value: int) -> bool:
    """Set an attribute of this process; say whether the kernel took it."""
    return _prctl(option, value, 0, 0, 0) == 0


def get_timer_slack() -> int:
    """Return the timer slack of this thread in nanoseconds."""
    return _prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)


_wish = _TimeSpec()
_wish_address = _ctypes.addressof(_wish)


def sleep_until(t_ns: int) -> None:
    """Sleep to an instant of CLOCK_MONOTONIC, or to the next signal.

    `time.sleep` takes a duration: who loses the processor between a look at the clock and that wakes late.
    """
    _wish.s, _wish.ns = divmod(t_ns, _NS)
    _clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, _wish_address, 0)


def lock_memory() -> bool:
    """Keep in memory what this process has touched and will touch; say whether that is permitted.

    Neither a fork nor an exec hands it on.  A limit that leaves no room to grow is none to lock under: all
    that is asked for later counts, and a launcher that gets no memory ends with its steps.
    """
    if _mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return False
    try:
        bytearray(LOCK_ROOM_BYTES)  # address space only: nobody writes to it
    except MemoryError:
        _munlockall()
        return False
    return True

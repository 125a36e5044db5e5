"""What the kernel says of its own clock: adjtimex(2), asked without changing anything."""

import ctypes
import os
from functools import cache
from typing import Any, Final

from fabric.protocol.messages import KernelClock
from fabric.protocol.numbers import MAX_INSTANT_NS, clamped

STA_UNSYNC: Final = 0x40
"""Nobody has told this kernel the time for a while; from <sys/timex.h>."""

_PPB: Final = 1_000_000_000


class _Timex(ctypes.Structure):
    """``struct timex``; the fields after ``tick`` are not wanted, but room for them is."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_long * 32),
    )


def read_kernel_clock() -> KernelClock | None:
    """Return what the kernel says now, or None where it does not."""
    asked = _Timex(modes=0)  # of 0, nothing is set: everybody may ask
    adjtimex = _function()
    if adjtimex is None or adjtimex(ctypes.byref(asked)) < 0:
        return None
    tick_us = 1_000_000 // os.sysconf("SC_CLK_TCK")
    return KernelClock(
        synchronised=not asked.status & STA_UNSYNC,
        maxerror_ns=clamped(asked.maxerror * 1000, MAX_INSTANT_NS),
        esterror_ns=clamped(asked.esterror * 1000, MAX_INSTANT_NS),
        frequency_ppb=asked.freq * 1000 >> 16,  # it is in 2^-16 ppm
        tick_ppb=(asked.tick - tick_us) * _PPB // tick_us,
        status=asked.status,
    )


@cache
def _function() -> Any:
    return getattr(ctypes.CDLL(None), "adjtimex", None)


def in_words(clock: KernelClock | None) -> str:
    """Return it as a fact of the node; "" if nothing is known."""
    if clock is None:
        return ""
    if not clock.synchronised:
        return "not synchronised"
    return f"synchronised, off by {clock.maxerror_ns / 1e6:.3f} ms at most"

"""Opening gates at an instant: nothing stands between the clock and the write."""

from __future__ import annotations

import os
import time

WAKE_EARLY_NS = 3_000_000
"""The loop stops polling so long before: epoll counts whole milliseconds and rounds up."""

_SPIN_NS = 150_000
"""A sleep on the absolute clock ends within this here (timer slack 1 ns); the rest is spun."""


def wait_until(t0_ns: int) -> None:
    """Return at ``t0_ns`` of CLOCK_MONOTONIC, never before."""
    while (left_ns := t0_ns - time.monotonic_ns()) > _SPIN_NS:
        time.sleep((left_ns - _SPIN_NS) / 1e9)
    while time.monotonic_ns() < t0_ns:
        pass


def open_gates(gates: list[int]) -> list[int]:
    """Let the children behind the gates go; return the instant of each, taken just before."""
    instants = []
    now = time.monotonic_ns
    write = os.write
    for gate in gates:
        instants.append(now())
        try:
            write(gate, b"\0")
        except OSError:
            continue  # the child is dead already, which is reported as its end
    return instants

"""Tracing a child, so that the kernel stops it right after its exec.

The launcher seizes it (`PTRACE_SEIZE`), it does not ask for it itself (`PTRACE_TRACEME`): so the options are
set with the same call, the stop is an event and no SIGTRAP that somebody could find later, and the child is
killed with its launcher from the first moment on (`PTRACE_O_EXITKILL`).
"""

from __future__ import annotations

import os

from agents.launcher import libc
from agents.launcher.bare import signal

DETACH = 17

_PEEKDATA, _PEEKUSER, _POKEDATA, _POKEUSER, _CONT, _SINGLESTEP = 2, 3, 5, 6, 7, 9
_SEIZE, _LISTEN = 0x4206, 0x4208
_O_TRACEEXEC, _O_EXITKILL = 1 << 4, 1 << 20
_EVENT_EXEC, _EVENT_STOP = 4, 128

_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

WORD_BYTES = 8
_WORD_MASK = (1 << 64) - 1


class TraceError(Exception):
    """The kernel does not let the launcher look into the child."""


def seize(pid: int) -> str:
    """Trace a child from now on; return why that cannot be, or nothing."""
    if libc.ptrace(_SEIZE, pid, 0, _O_TRACEEXEC | _O_EXITKILL) == 0:
        return ""
    return f"this system refuses to trace it: {os.strerror(libc.error())}"


def is_exec(status: int) -> bool:
    """Say whether a stop is the one right after an exec."""
    return status >> 16 == _EVENT_EXEC


def is_trap(status: int) -> bool:
    """Say whether a stop is that of a breakpoint or of a single step."""
    return status >> 16 == 0 and status >> 8 == signal.SIGTRAP


def pass_on(pid: int, status: int) -> None:
    """Let a child go on whose stop nobody wanted: a signal takes its course."""
    number = status >> 8 & 0xFF
    if status >> 16 == _EVENT_STOP and number in _STOPS:
        libc.ptrace(_LISTEN, pid, 0, 0)  # it was stopped by somebody, and stays so until it is continued
    else:
        resume(pid, 0 if status >> 16 else number)


def resume(pid: int, number: int = 0) -> None:
    """Let a stopped child go on, with a signal."""
    libc.ptrace(_CONT, pid, 0, number)


def step(pid: int) -> None:
    """Let it do one instruction."""
    libc.ptrace(_SINGLESTEP, pid, 0, 0)


def word(pid: int, address: int) -> int:
    """Return eight bytes of its memory.

    Raises:
        TraceError: If that cannot be.
    """
    return _peek(_PEEKDATA, pid, address)


def set_word(pid: int, address: int, value: int) -> None:
    """Change eight bytes of its memory, those of its code too: it has a copy of its own then.

    Raises:
        TraceError: If that cannot be.
    """
    _poke(_POKEDATA, pid, address, value)


def register(pid: int, place: int) -> int:
    """Return a register by its place in `struct user`.

    Raises:
        TraceError: If that cannot be.
    """
    return _peek(_PEEKUSER, pid, place)


def set_register(pid: int, place: int, value: int) -> None:
    """Change a register.

    Raises:
        TraceError: If that cannot be.
    """
    _poke(_POKEUSER, pid, place, value)


def _peek(request: int, pid: int, address: int) -> int:
    libc.clear_error()
    value = libc.ptrace(request, pid, address, 0)
    if value == -1 and libc.error():
        raise TraceError(os.strerror(libc.error()))
    return value & _WORD_MASK


def _poke(request: int, pid: int, address: int, value: int) -> None:
    signed = value - (1 << 64) if value >> 63 else value
    if libc.ptrace(request, pid, address, signed) != 0:
        raise TraceError(os.strerror(libc.error()))

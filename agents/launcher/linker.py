"""Where a program is linked, but has not begun: for a stop that is later than that after the exec.

The dynamic linker tells a debugger of this moment by calling a function that does nothing, `_dl_debug_state`:
all libraries are mapped and relocated, and no initialiser of any has run.  The linker is found in the child's
memory.
"""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH123

from __future__ import annotations

import os

from agents.launcher import trace

HAS_BREAKPOINTS = os.uname().machine == "x86_64"

_NAME, _STATE_NAME = b"_dl_debug_state", b"_r_debug"
_BREAKPOINT = 0xCC
_PC = 16 * 8  # of rip in `struct user`
_STATE = 24  # of r_state in `struct r_debug`

_AT_BASE = 7
_PT_DYNAMIC = 2
_DT_STRTAB, _DT_SYMTAB, _DT_GNU_HASH = 5, 6, 0x6FFFFEF5
_HEADER_BYTES, _PROGRAM_BYTES, _SYMBOL_BYTES, _PAIR_BYTES = 64, 56, 24, 16

_MOST = 4096
"""Most entries of a table that are looked at: the dynamic linker is small."""


class Linking:
    """A child on its way from its exec to the moment in which it is linked.

    Raises:
        trace.TraceError: By all methods, if the child cannot be looked into, or is not linked dynamically.
    """

    __slots__ = ("_address", "_code", "_pid", "_state")

    def __init__(self, pid: int) -> None:
        self._pid = pid
        base = _base(pid)
        table = _Symbols(pid, base)
        self._address = table.find(_NAME)
        if not self._address:
            raise trace.TraceError("its linker has no place for debuggers")
        self._state = table.find(_STATE_NAME)
        self._code = trace.word(pid, self._address)
        self._go()

    def is_done(self, status: int) -> bool:
        """Take a stop; say whether the child is linked.  Else it goes on."""
        pc = trace.register(self._pid, _PC) if trace.is_trap(status) else 0
        if pc == self._address + 1:
            trace.set_word(self._pid, self._address, self._code)
            trace.set_register(self._pid, _PC, self._address)
            if not self._is_changing():
                return True
            trace.step(self._pid)
        elif trace.is_trap(status):
            self._go()  # after the one step over the place
        else:
            trace.pass_on(self._pid, status)
        return False

    def _go(self) -> None:
        trace.set_word(self._pid, self._address, self._code & ~0xFF | _BREAKPOINT)
        trace.resume(self._pid)

    def _is_changing(self) -> bool:
        """Whether it has only begun: glibc calls before and after, musl only after, without telling which."""
        return bool(self._state and trace.word(self._pid, self._state + _STATE) & 0xFFFFFFFF)


def _base(pid: int) -> int:
    """Return where the dynamic linker was put."""
    try:
        with open(f"/proc/{pid}/auxv", "rb") as file:
            data = file.read()
    except OSError as error:
        raise trace.TraceError(str(error.strerror)) from None
    pairs = [_number(data, at, 8) for at in range(0, len(data), 8)]
    base = dict(zip(pairs[::2], pairs[1::2], strict=True)).get(_AT_BASE, 0)
    if not base:
        raise trace.TraceError("it is linked statically")
    return base


class _Symbols:
    """The symbols of a shared object that was mapped and not yet relocated."""

    def __init__(self, pid: int, base: int) -> None:
        self._pid = pid
        self._base = base
        header = self._read(base, _HEADER_BYTES)
        at, count = base + _number(header, 32, 8), _number(header, 56, 2)
        dynamic = 0
        for place in range(at, at + count * _PROGRAM_BYTES, _PROGRAM_BYTES):
            program = self._read(place, 24)
            if _number(program, 0, 4) == _PT_DYNAMIC:
                dynamic = base + _number(program, 16, 8)
        self._tables = self._dynamic(dynamic)

    def _dynamic(self, at: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for place in range(at, at + _MOST * _PAIR_BYTES, _PAIR_BYTES):
            tag = trace.word(self._pid, place)
            if not tag:
                break
            found[tag] = self._base + trace.word(self._pid, place + 8)
        if not {_DT_STRTAB, _DT_SYMTAB, _DT_GNU_HASH} <= found.keys():
            raise trace.TraceError("its linker has no table of symbols")
        return found

    def find(self, name: bytes) -> int:
        """Return the address of a symbol, or 0."""
        at, wanted = self._tables[_DT_GNU_HASH], _gnu_hash(name)
        head = self._read(at, 16)
        buckets, first, blooms = (_number(head, place, 4) for place in (0, 4, 8))
        chains = at + 16 + 8 * blooms + 4 * buckets
        index = self._u32(chains - 4 * buckets + 4 * (wanted % buckets))
        for number in range(index, index + _MOST if index >= first else 0):
            found = self._u32(chains + 4 * (number - first))
            if found | 1 == wanted | 1 and (address := self._is_called(number, name)):
                return address
            if found & 1:
                break
        return 0

    def _is_called(self, number: int, name: bytes) -> int:
        """Return the address of a symbol if that is its name."""
        symbol = self._read(self._tables[_DT_SYMTAB] + number * _SYMBOL_BYTES, 16)
        called = self._read(self._tables[_DT_STRTAB] + _number(symbol, 0, 4), len(name) + 1)
        return self._base + _number(symbol, 8, 8) if called == name + b"\0" else 0

    def _u32(self, address: int) -> int:
        return _number(self._read(address, 4), 0, 4)

    def _read(self, address: int, size: int) -> bytes:
        start = address & -trace.WORD_BYTES
        words = range(start, address + size, trace.WORD_BYTES)
        data = b"".join(trace.word(self._pid, place).to_bytes(8, "little") for place in words)
        return data[address - start : address - start + size]


def _gnu_hash(name: bytes) -> int:
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")

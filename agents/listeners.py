"""Who listens on a port of this node, as the kernel says it; nothing connects to it.

Only sockets of the agent's own network namespace are seen.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final

from agents.launcher import tree

TABLES: Final = (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07"))
"""Files in /proc/net, and the state in which a socket waits for anybody: LISTEN, or for UDP unconnected."""

_WORD: Final = 8  # hexadecimal digits of 32 bits, which stand in the order of this machine's bytes


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens; ``pid`` is 0 if its owner cannot be found, as of another user's."""

    protocol: str
    address: str
    port: int
    inode: int
    uid: int
    pid: int = 0

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        owner = f"pid {self.pid} ({_name(self.pid)})" if self.pid else f"a process of user {self.uid}"
        return f"{owner} on {self.protocol.removesuffix('6')} {shown}:{self.port}"


def listeners(port: int) -> list[Listener]:
    """Return the sockets that listen on a port, without their owners."""
    return [found for protocol, state in TABLES for found in _table(protocol, state, port)]


def owned(found: list[Listener], below: int = 0) -> list[Listener]:
    """Return the sockets with their owners, who are looked for at ``below`` and its descendants first."""
    lacking = {one.inode for one in found}
    owners: dict[int, int] = {}
    for pids in (tree.descendants([below]) if below else [], tree.everybody()):
        for pid in pids:
            if not lacking:
                break
            for inode in _sockets(pid) & lacking:
                owners[inode] = pid
                lacking.discard(inode)
    return [
        Listener(one.protocol, one.address, one.port, one.inode, one.uid, owners.get(one.inode, 0))
        for one in found
    ]


def step_of(pid: int) -> tuple[str, str] | None:
    """Return mark of the launcher and key of the step to whose tree a process belongs; None for no step's."""
    while pid > 1 and pid != os.getpid():  # above this agent it may be a step itself
        if key := tree.mark(pid, tree.STEP_MARK):
            return tree.mark(pid, tree.LAUNCHER_MARK), key
        pid = tree.parent(pid)
    return None


def _table(protocol: str, state: str, port: int) -> Iterator[Listener]:
    wanted = f":{port:04X}"
    try:
        with Path(f"/proc/self/net/{protocol}").open(encoding="ascii") as file:
            next(file, None)
            for line in file:
                words = line.split()
                if words[3] != state:
                    if protocol.startswith("tcp"):
                        return  # those that listen stand first; there may be many thousands of others
                    continue
                if words[1].endswith(wanted):
                    address = _address(words[1].partition(":")[0])
                    yield Listener(protocol, address, port, int(words[9]), int(words[7]))
    except FileNotFoundError:
        return  # a kernel without IPv6


def _address(digits: str) -> str:
    words = [digits[at : at + _WORD] for at in range(0, len(digits), _WORD)]
    packed = b"".join(int(word, 16).to_bytes(4, "little") for word in words)
    return inet_ntop(AF_INET if len(words) == 1 else AF_INET6, packed)


def _sockets(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(entry.path)  # noqa: PTH115 - thousands of them
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"

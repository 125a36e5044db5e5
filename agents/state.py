"""The agent's state directory: who this agent is, and which of its lives this is."""

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from fabric.errors import FabricError


@dataclass(frozen=True, slots=True)
class AgentState:
    """A locked state directory.

    ``instance`` names the directory for ever, ``incarnation`` counts the agents that have locked it.  The
    lock goes with the process, whatever ends it, so two agents never share a directory.
    """

    directory: Path
    instance: str
    incarnation: int
    lock_fd: int

    @classmethod
    def lock(cls, directory: Path) -> "AgentState":
        """Take the directory, which is made if it is missing.

        Raises:
            FabricError: If another agent has it, or it cannot be written.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FabricError(
                f"state directory {directory}: {error.strerror}", hint="name another one with --state-dir"
            ) from None
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(lock_fd, 20).decode(errors="replace").strip()
            os.close(lock_fd)
            raise FabricError(
                f"another fabric-agent (pid {pid or '?'}) uses the state directory {directory}",
                hint="give each agent on a machine its own --name, or its own --state-dir",
            ) from None
        os.ftruncate(lock_fd, 0)
        os.write(lock_fd, f"{os.getpid()}\n".encode())
        instance = _kept(directory / "instance", secrets.token_hex(8))
        incarnation = int(_kept(directory / "incarnation", "0")) + 1
        _replace(directory / "incarnation", str(incarnation))
        return cls(directory, instance, incarnation, lock_fd)


def _kept(path: Path, default: str) -> str:
    """Return what the file says, or make it say the default."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        text = ""
    if text:
        return text
    _replace(path, default)
    return default


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)

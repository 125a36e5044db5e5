"""The agent's state directory: who this agent is, and which of its lives this is."""

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.journal.durable import sync_directory
from agents.journal.transfer import FULL
from fabric.errors import FabricError
from fabric.private import close_state

INNER: Final = ("journals", "undelivered", "cleaning", "dirty", "cleaned")
"""Directories in it that are the agent's alone; `scratch` is not, nor what is taken away from there."""


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
            FabricError: If another agent has it, others have access to it, or it cannot be written.
        """
        try:
            return cls._locked(directory)
        except OSError as error:
            full = error.errno in FULL
            hint = "make room on its disk" if full else "name another one with --state-dir"
            raise FabricError(f"state directory {directory}: {error.strerror}", hint=hint) from None

    @classmethod
    def _locked(cls, directory: Path) -> "AgentState":
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        close_state(directory, may_pass=True, inner=INNER)  # steps of other users work below it
        lock_fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(lock_fd, 20).decode(errors="replace").strip()
            os.close(lock_fd)
            raise FabricError(
                f"another fabric-agent (pid {pid or '?'}) uses the state directory {directory}",
                hint="give each agent on a machine its own --name, or its own --state-dir",
            ) from None
        _overwrite(lock_fd, f"{os.getpid()}\n")
        instance = _kept(directory / "instance", secrets.token_hex(8))
        incarnation = int(_kept(directory / "incarnation", "0")) + 1
        _replace(directory / "incarnation", str(incarnation))
        return cls(directory, instance, incarnation, lock_fd)


def holder(directory: Path) -> str:
    """Return the pid of the agent that has this directory; "" if none has, or that cannot be seen."""
    try:
        fd = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        # Shared, and given back at once.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.read(fd, 20).decode(errors="replace").strip() or "?"
    finally:
        os.close(fd)
    return ""


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
    """Write a small file anew; on a full disk over what is there, for which there is room.

    It outlives a power cut, name and all: two lives with one number would number their records alike.
    """
    new = path.with_suffix(".new")
    try:
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w"
        ) as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        if error.errno not in FULL or not path.exists():
            raise
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _overwrite(fd, text + "\n")
        finally:
            os.close(fd)


def _overwrite(fd: int, text: str) -> None:
    """Put a few bytes in the place of others: neither all nor any room is given back meanwhile."""
    os.pwrite(fd, text.encode(), 0)
    os.ftruncate(fd, len(text))

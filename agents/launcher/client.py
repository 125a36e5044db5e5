"""The agent's end of the launcher's socket.  Nothing here blocks but `start`, `kill` and `kill_orphans`."""

import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, pidfd_send_signal
from typing import Any, Final

from agents.launcher import events, libc, starting, sweep, tree, wire
from agents.launcher.asked import PLAIN, Asked
from agents.launcher.channel import Channel, close_all
from agents.launcher.events import (
    Adopted,
    AdoptedStep,
    Armed,
    ArmFailed,
    Complaint,
    Event,
    LauncherDied,
)
from fabric.errors import FabricError

GREETING_S: Final = 10.0
"""A launcher that does not greet for so long is killed: it takes 30 ms, a loaded machine some hundred."""

BACKLOG_BYTES: Final = 16 << 20
"""Most that waits for a launcher that does not read: the arming of a large trial, many times over."""

_PIPES: Final = ("stdout", "stderr")
_WITH_PIPES: Final = ("armed", "step")
"""Events that bring the pipes of a step."""

_NO_FILES: Final = "agent or launcher can open no more files for its pipes (ulimit -n)"
_ATTEMPTS: Final = 3
_DEATH_MS: Final = 5000


class LauncherError(FabricError):
    """There is no launcher to work with."""


def become_subreaper() -> None:
    """Make this process the one to which orphans below it fall, so that it can end them."""
    if not libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1):
        raise LauncherError("this process cannot become a subreaper")


class LauncherClient:
    """Commands a launcher and hears from it.

    ``is_adopted``: the launcher lived before this client.  ``heard_ns``: when it last said something (it
    answers each `beat`), on the local monotonic clock; an agent kills a launcher that is silent for too
    long.
    """

    def __init__(self, state_dir: Path, sock: socket.socket, process: subprocess.Popen[bytes] | None) -> None:
        self._state_dir = state_dir
        self._channel = Channel(sock)
        self._process = process
        self._events: list[Event] = []
        self._adopting: list[AdoptedStep] = []
        self._hello: dict[str, Any] | None = None  # until all that it has is known
        self._has_died = False
        self.is_adopted = process is None
        self.software = ""
        """Version of the program that it is, as soon as it has greeted."""
        self.heard_ns = time.monotonic_ns()
        self.pid = _peer_pid(sock) if process is None else process.pid
        self._handle = _open_handle(self.pid)
        self.name = f"{self.pid}.{tree.began(self.pid)}"
        """One that no other launcher of this machine has had since it was booted."""

    @classmethod
    def start(
        cls,
        state_dir: Path,
        *,
        lease_s: float,
        grace_s: float = 5.0,
        cgroups: bool = True,
        depth: starting.Depth = "link",
        spins: bool = True,
    ) -> "LauncherClient":
        """Connect to the launcher of an earlier life in ``state_dir``, or start one.

        Args:
            state_dir: An existing directory of this user's; one agent uses it at a time.
            lease_s: The launcher ends everything when this agent is silent for so long.
            grace_s: The same when the agent is gone and none comes; then it leaves.
            cgroups: False: end trees without the help of cgroups.
            depth: How far a step is brought before its release, at most: its libraries are loaded (link),
                it is executed (exec), or it waits before its exec (gate).
            spins: False: sleep to the instant of a release itself.

        Raises:
            LauncherError: If there is none that greets, or another agent has it.
        """
        for _ in range(_ATTEMPTS):
            sock, process = starting.connect(state_dir), None
            if sock is None:
                starting.sweep_after_launcher(state_dir)
                process, sock = starting.launch(
                    state_dir, lease_s=lease_s, grace_s=grace_s, cgroups=cgroups, depth=depth, spins=spins
                )
            client = cls(state_dir, sock, process)
            if client._greeted():
                return client
            client.kill()
        raise LauncherError(f"the launcher in {state_dir} does not answer", hint="see the agent's log")

    # --- commands ---------------------------------------------------------------------------------------

    def arm(
        self,
        key: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        directory: str,
        *,
        umask: int | None = None,
        tails: tuple[str, str] = ("", ""),
        ask: Asked = PLAIN,
    ) -> None:
        """Prepare a step so that only its release is missing: `Armed` or `ArmFailed` follows.

        Args:
            key: Names the step from now on.
            argv: The program, looked up in the PATH of ``env``, and its arguments.
            env: The complete environment; FABRIC_STEP and FABRIC_LAUNCHER are added, and with a user HOME,
                USER, LOGNAME and SHELL, with a terminal TERM, if it does not have them.
            directory: Absolute path of the directory to work in.
            umask: None: that of the agent.
            tails: Prefixes for stdout and stderr.  What no agent reads any more is appended to
                ``PREFIX.tail`` when the launcher ends on its own; nothing is kept under an empty one.
            ask: User, terminal, input and limits.
        """
        paths = [f"{prefix}.tail" if prefix else "" for prefix in tails]
        words = {"argv": list(argv), "env": dict(env), "dir": directory, "umask": umask, "tails": paths}
        self._send({"do": "arm", "key": key, **words, **ask.words()})

    def release(self, keys: Iterable[str], t0_ns: int = 0) -> None:
        """Let armed steps go at an instant of the local monotonic clock; 0: now.

        `Started` or `StartFailed` follows for each.
        """
        self._send({"do": "release", "keys": list(keys), "t0": t0_ns})

    def hold(self, keys: Iterable[str]) -> None:
        """Take releases back that are still to come: `Held` follows."""
        self._send({"do": "hold", "keys": list(keys)})

    def end(self, key: str, signal: int, grace_s: float) -> None:
        """Send a signal to the step's whole tree, and KILL after the grace: `Exited` and `Ended` follow.

        A step that waits for its release is killed, and reported in the same way.
        """
        self._send({"do": "end", "key": key, "signal": int(signal), "grace": grace_s})

    def drop(self, key: str) -> None:
        """Forget a step that was not released; no event follows but what is on its way."""
        self._send({"do": "drop", "key": key})

    def drained(self, key: str) -> None:
        """Say that the pipes of a step that has `Ended` were read to their end; it is forgotten."""
        self._send({"do": "drained", "key": key})

    def beat(self) -> None:
        """Renew the lease.  Due at least every second."""
        self._send({"do": "beat"})

    def quit(self) -> None:
        """End everything and the launcher: `LauncherDied` follows."""
        self._send({"do": "quit"})

    # --- events -----------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor to poll for reading; -1 after `LauncherDied`."""
        return self._channel.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether to poll for writing too and call `flush`; commands and `receive` try as well."""
        return self._channel.backlog_bytes > 0

    def flush(self) -> None:
        """Send what waits, as far as the launcher has room."""
        self._channel.flush()

    def receive(self) -> list[Event]:
        """Return what has happened.  Never blocks; after `LauncherDied` there is nothing more."""
        if not self._has_died:
            self._read()
        found, self._events = self._events, []
        return found

    def _read(self) -> None:
        self._channel.flush()  # for a caller that only ever polls for reading
        try:
            frames = self._channel.receive()
        except wire.WireError:
            frames = []
            self._channel.is_open = False
        if frames:
            self.heard_ns = time.monotonic_ns()
        for raw, fds in frames:
            self._hear(raw, fds)
        if not self._channel.is_open:
            self._channel.close()
            self._has_died = True
            self._events.append(LauncherDied())

    def _hear(self, raw: dict[str, Any], fds: tuple[int, ...]) -> None:
        if raw["ev"] == "hello":
            self._greet(raw)
        elif raw["ev"] == "step" and self._hello is None:
            close_all(fds)  # it speaks in a way that is not known here
        elif raw["ev"] in _WITH_PIPES and len(fds) < len(_PIPES):
            self._miss_pipes(raw)
        elif raw["ev"] == "step":
            self._adopting.append(events.read_step(raw, fds))
        elif (event := events.read(raw, fds)) is not None:
            self._events.append(event)
        hello = self._hello
        if self.is_adopted and hello is not None and hello["steps"] == len(self._adopting):
            self._hello = None
            about = (hello.get("wire", 1), hello.get("software", ""), hello.get("ending", False))
            self._events.append(Adopted(tuple(self._adopting), *about))

    def _miss_pipes(self, raw: dict[str, Any]) -> None:
        """Do without a step whose pipes could not be handed over: nobody would read what it prints."""
        if raw["ev"] == "armed":
            self.drop(raw["key"])
            self._events.append(ArmFailed(raw["key"], _NO_FILES, lacks=True))
            return
        for step in self._adopting:  # all are taken over, or none is
            close_all((step.stdout_fd, step.stderr_fd))
        self._adopting.clear()
        self._channel.is_open = False

    def _greet(self, hello: dict[str, Any]) -> None:
        """Take the first words; of a launcher of another time nothing more is understood."""
        self.software = hello.get("software", "")
        version = hello.get("wire", 1)
        if version == wire.VERSION or not self.is_adopted:
            self._hello = hello
        else:
            self._events.append(Adopted((), version, self.software))

    # --- life and death ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the launcher alone: it waits for the next agent for its grace, then ends everything."""
        self._channel.close()
        self._has_died = True
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def kill(self) -> None:
        """Kill the launcher itself, for instance because it is silent, and wait until it is gone."""
        if self._handle >= 0:
            _kill(self._handle)
        if self._process is not None:
            self._process.wait()
        else:  # it may be a child of this process all the same, which has been another program before
            sweep.reap(self.pid)
        self.close()

    def kill_orphans(self, keep: Collection[int] = ()) -> list[int]:
        """Kill the launcher and all that it had started; return the pids of what cannot be killed.

        What has lost its parent is found below this process, if it is a subreaper and the launcher's parent,
        and by cgroup and by mark in any case.

        Args:
            keep: Children of this process that are not the launcher's and have to live.
        """
        self.kill()
        left = sweep.kill_below(keep)
        return list(dict.fromkeys(left + starting.sweep_after_launcher(self._state_dir)))

    def _send(self, message: dict[str, Any]) -> None:
        if self._channel.backlog_bytes > BACKLOG_BYTES:
            raise LauncherError("the launcher does not read its commands any more")
        self._channel.send(message)

    def _greeted(self) -> bool:
        """Wait for the launcher's first words; False if there are none."""
        until_s = time.monotonic() + GREETING_S
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while (left_s := until_s - time.monotonic()) > 0:
            if not poll.poll(left_s * 1000):
                return False
            self._read()
            for event in self._events:
                if isinstance(event, Complaint):
                    raise LauncherError(f"the launcher in {self._state_dir} refuses: {event.sentence}")
            if self._hello is not None or self._events:
                return not self._has_died
        return False

    def adopted(self) -> Adopted | None:
        """Wait for all that an adopted launcher has to tell; None if it does not.  Before any `receive`."""
        until_s = time.monotonic() + GREETING_S
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while not self._has_died:
            for event in self._events:
                if isinstance(event, Adopted):
                    self._events.remove(event)
                    return event
            if not poll.poll(max(0.0, until_s - time.monotonic()) * 1000):
                return None
            self._read()
        return None


def _peer_pid(sock: socket.socket) -> int:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def _open_handle(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1  # gone already


def _kill(handle: int) -> None:
    try:
        pidfd_send_signal(handle, SIGKILL)
    except ProcessLookupError:
        return
    # Its orphans fall to this process only when it is gone, which is later than the end of its socket.
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(_DEATH_MS)


__all__ = ["Armed", "Event", "LauncherClient", "LauncherError", "become_subreaper"]

"""The launcher's shell: one epoll over the agent's socket, signals and pipes; one turn after another."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH108

from __future__ import annotations

import gc
import os
import select
import sys
import time

from agents.launcher import wire
from agents.launcher.bare import signal, socket
from agents.launcher.channel import Channel
from agents.launcher.ends import Ends
from agents.launcher.lease import Lease
from agents.launcher.looks import Looks
from agents.launcher.registry import Registry
from agents.launcher.releases import Releases
from agents.launcher.starts import Starts
from agents.launcher.tail import Tails
from agents.launcher.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agents.launcher.cgroup import Cgroups
    from agents.launcher.child import Inherited

_NS = 1_000_000_000
_MAX_EVENTS = 256
_UCRED_BYTES = 12  # pid, uid, gid
_FLUSH_S = 1.0
"""How long a launcher that ends waits for its agent to read the last events."""


class Loop:
    """Serves one agent at a time on a listening Unix socket until there is nothing left to do."""

    def __init__(
        self,
        *,
        listener: socket.socket,
        path: str,
        signals: int,
        lease: Lease,
        cgroups: Cgroups,
        inherited: Inherited,
        mark: str,
        depth: str,
        spins: bool,
        software: str,
    ) -> None:
        self._path = path
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._listener = listener
        self._signals = signals
        self._lease = lease
        self._cgroups = cgroups
        self._registry = Registry(cgroups, mark, self._emit, self._watch)
        self._releases = Releases(self._registry, Waiter(spins=spins))
        self._starts = Starts(self._registry, self._releases, inherited, depth)
        self._ends = Ends(self._registry, self._starts, self._releases)
        self._tails = Tails(self._registry)
        self._commands = self._table()
        self._agent: Channel | None = None
        self._agent_mask = 0
        self._is_quitting = False
        self._quits_for_good = False
        self._software = software
        self._has_ended_all = False  # because its agent was silent or away; until that was all
        listener.setblocking(False)
        self._kept_fd = -1
        self._keep_place()
        self._watch(signals, self._on_signals)
        self._watch(listener.fileno(), self._on_connect)

    def run(self) -> None:
        """Serve until it is time to go; then everything that was started has ended."""
        looks = Looks(time.monotonic_ns())
        while not (self._is_quitting and self._registry.is_idle):
            began_ns = time.monotonic_ns()
            found = self._epoll.poll(self._patience_s(), _MAX_EVENTS)
            self._ends.away_ns = looks.away_ns(began_ns, time.monotonic_ns())
            for fd, _ in found:
                handler = self._handlers.get(fd)
                if handler is not None:  # else it was given up earlier in this turn
                    handler()
            self._expire(time.monotonic_ns())
            self._look_at_agent()
        self._leave()

    def _patience_s(self) -> float:
        """Return how long to wait for something to happen, -1 for ever."""
        wishes = (self._releases.deadline_ns, self._ends.deadline_ns, self._lease.deadline_ns)
        deadline_ns = min((wish for wish in wishes if wish is not None), default=None)
        if deadline_ns is None:
            return -1.0
        return max(0, deadline_ns - time.monotonic_ns()) / _NS

    def _expire(self, now_ns: int) -> None:
        self._releases.expire()
        self._ends.expire(now_ns)
        if self._lease.expire(now_ns):
            self._end_lease(now_ns)

    def _end_lease(self, now_ns: int) -> None:
        silence_s = round(self._lease.silence_ns(now_ns) / _NS, 1)
        if self._lease.is_connected:
            # Its descriptors of the pipes are as good as ours: what is in them waits for it to wake up.
            self._emit({"ev": "lease_ended", "silence": silence_s}, ())
        else:
            self._is_quitting = True
            self._tails.start()
        self._has_ended_all = True
        self._ends.end_all()

    def _leave(self) -> None:
        # The name goes first: who finds the socket closed may bind the name anew at once.
        _unlink(self._path)
        if self._agent is None:
            self._tails.finish()
        else:
            until_ns = time.monotonic_ns() + int(_FLUSH_S * _NS)
            while self._agent.backlog_bytes and time.monotonic_ns() < until_ns:
                self._agent.flush()
                time.sleep(0.001)
        self._cgroups.close()

    # --- signals ----------------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        numbers = os.read(self._signals, 4096)
        if signal.SIGCHLD in numbers:
            self._ends.reap()
        if signal.SIGTERM in numbers:
            self._quit()

    def _quit(self) -> None:
        self._is_quitting = self._quits_for_good = True
        self._ends.end_all()

    # --- the agent --------------------------------------------------------------------------------------

    def _on_connect(self) -> None:
        try:
            fd = self._accepted()
        except OSError:
            return
        sock = socket.socket(fileno=fd)
        channel = Channel(sock)
        self._on_agent()  # the end of the last one may be waiting to be read
        self._look_at_agent()
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED_BYTES)
        uid = int.from_bytes(credentials[4:8], sys.byteorder)
        if uid != os.geteuid():
            self._refuse(channel, f"user {uid} is not the user of this launcher")
        elif self._agent is not None:
            self._refuse(channel, "another agent is connected to this launcher")
        else:
            self._adopt(channel)

    def _accepted(self) -> int:
        """Take a connection, without a descriptor left in the place of the one that is kept for an agent.

        What nobody takes would wake this process for ever.
        """
        try:
            return _accept(self._listener)
        except OSError:
            if self._kept_fd < 0:
                raise
            os.close(self._kept_fd)
            self._kept_fd = -1
            return _accept(self._listener)

    def _keep_place(self) -> None:
        """Keep a descriptor for the next agent."""
        if self._kept_fd < 0:
            try:
                self._kept_fd = os.dup(self._signals)
            except OSError:
                return

    def _refuse(self, channel: Channel, why: str) -> None:
        channel.send({"ev": "refused", "why": why})
        channel.close()
        self._keep_place()

    def _adopt(self, channel: Channel) -> None:
        self._agent = channel
        self._agent_mask = select.EPOLLIN
        self._watch(channel.fileno(), self._on_agent)
        self._lease.connected(time.monotonic_ns())
        self._is_quitting = self._quits_for_good
        self._tails.stop()
        steps = list(self._registry.steps.values())
        self._emit(self._hello(len(steps)), ())
        for step in steps:
            planned = self._registry.schedule.instant_of(step.key)
            self._emit({**step.description(), "planned": planned}, step.pipes)

    def _hello(self, steps: int) -> dict[str, Any]:
        return {
            "ev": "hello",
            "pid": os.getpid(),
            "cgroup": self._cgroups.path,
            "steps": steps,
            "wire": wire.VERSION,
            "software": self._software,
            "ending": self._has_ended_all,
        }

    def _on_agent(self) -> None:
        channel = self._agent
        if channel is None or not channel.is_open:
            return
        channel.flush()
        try:
            messages = channel.receive()
        except wire.WireError:
            messages = []
            channel.is_open = False
        if messages:
            self._lease.heard(time.monotonic_ns())
        for message, _ in messages:
            self._releases.release_due()  # arming many takes longer than the margin before an instant
            self._obey(message)

    def _look_at_agent(self) -> None:
        """Note that the agent is gone, or that something waits for it to read."""
        channel = self._agent
        if channel is None:
            return
        if not channel.is_open:
            self._watch(channel.fileno(), None)
            channel.close()
            self._agent = None
            self._keep_place()
            self._lease.lost(time.monotonic_ns())
            return
        mask = select.EPOLLIN | (select.EPOLLOUT if channel.backlog_bytes else 0)
        if mask != self._agent_mask:
            self._agent_mask = mask
            self._epoll.modify(channel.fileno(), mask)

    def _obey(self, message: dict[str, Any]) -> None:
        what = message.get("do")
        handler = self._commands.get(what) if isinstance(what, str) else None
        if handler is None:
            self._emit({"ev": "refused", "why": f"unknown command {what!r:.20}"}, ())
            return
        try:
            handler(message)
        except (KeyError, TypeError, ValueError) as error:
            self._emit({"ev": "refused", "why": f"{what!r:.20}: {error!r}"}, ())

    def _table(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        releases, ends = self._releases, self._ends
        return {
            "beat": lambda _: self._emit({"ev": "beat"}, ()),
            "arm": self._arm,
            "release": lambda words: releases.release(words["keys"], words["t0"]),
            "hold": lambda words: releases.hold(words["keys"]),
            "end": lambda words: ends.end(words["key"], words["signal"], words["grace"]),
            "drop": lambda words: ends.drop(words["key"]),
            "drained": self._drained,
            "quit": lambda _: self._quit(),
        }

    def _arm(self, words: dict[str, Any]) -> None:
        if self._is_quitting:
            self._emit({"ev": "arm_failed", "key": words["key"], "why": "the launcher is ending"}, ())
        else:
            self._starts.arm(words)

    def _drained(self, words: dict[str, Any]) -> None:
        self._ends.drained(words["key"])
        if not self._registry.steps:
            self._has_ended_all = False
            gc.collect()  # it is off while work is near

    def _emit(self, event: dict[str, Any], fds: tuple[int, ...]) -> None:
        if self._agent is not None:
            self._agent.send(event, fds)

    def _watch(self, fd: int, handler: Callable[[], None] | None) -> None:
        if handler is None:
            if self._handlers.pop(fd, None) is not None:
                self._epoll.unregister(fd)
        else:
            self._handlers[fd] = handler
            self._epoll.register(fd, select.EPOLLIN)


def _accept(listener: socket.socket) -> int:
    """Do what accept() does, of the C half."""
    fd: int = listener._accept()[0]  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return fd


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return

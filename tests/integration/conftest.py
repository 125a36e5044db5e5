"""A launcher with the agent's end of its socket, and a look at /proc for what is left of it."""

import errno
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from agents.launcher import cgroup, starting, tree
from agents.launcher.asked import PLAIN, Asked
from agents.launcher.client import LauncherClient
from agents.launcher.events import Armed, Event, LauncherDied

E = TypeVar("E", bound=Event)
WITHIN_S = 20.0  # only a failing test waits so long


class Lab:
    """One launcher and what it was told; every program of it has the token among its arguments."""

    def __init__(
        self,
        state_dir: Path,
        *,
        cgroups: bool,
        lease_s: float = 10.0,
        grace_s: float = 0.5,
        depth: starting.Depth = "link",
    ) -> None:
        self.state_dir = state_dir
        self.token = f"token-{uuid4().hex}"
        self.mark = starting.mark_of(state_dir)
        self.client = LauncherClient.start(
            state_dir, lease_s=lease_s, grace_s=grace_s, cgroups=cgroups, depth=depth
        )
        self.events: list[Event] = []
        self.env = {"PATH": os.environ["PATH"]}
        self._beat_s = 0.0

    def python(self, code: str) -> list[str]:
        """Return the words that run some Python."""
        return [sys.executable, "-I", "-S", "-c", "import os, signal, sys, time\n" + code, self.token]

    def sh(self, code: str) -> list[str]:
        """Return the words that run a shell."""
        return ["/bin/sh", "-c", code, self.token]

    def arm(self, key: str, argv: list[str], directory: str = "/", ask: Asked = PLAIN) -> Armed:
        """Arm a step; the descriptors of its output are non-blocking."""
        self.client.arm(key, argv, self.env, directory, ask=ask)
        return self.wait(Armed, key)

    def start(self, key: str, argv: list[str], directory: str = "/", ask: Asked = PLAIN) -> Armed:
        """Arm a step and let it go."""
        armed = self.arm(key, argv, directory, ask)
        self.client.release([key])
        return armed

    def wait(self, kind: type[E], key: str = "") -> E:
        """Return the next event of a kind, of one step."""
        found: list[E] = []

        def take() -> bool:
            for event in self.events:
                if isinstance(event, kind) and (not key or getattr(event, "key", key) == key):
                    self.events.remove(event)
                    found.append(event)
                    return True
            return False

        self.until(take, f"{kind.__name__} {key}")
        return found[0]

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Turn the agent's loop until something is so."""
        until_s = time.monotonic() + WITHIN_S
        while not done():
            assert time.monotonic() < until_s, f"waited in vain for {what}; came: {self.events}"
            self.turn()

    def turn(self) -> None:
        """Beat if it is time, wait a moment for events, take them."""
        if time.monotonic() - self._beat_s > 0.5:
            self._beat_s = time.monotonic()
            self.client.beat()
        if self.client.fileno() >= 0:
            select.select([self.client], [self.client] if self.client.wants_write else [], [], 0.02)
        self.events += self.client.receive()

    def read(self, fd: int, wanted: bytes | None = None) -> bytes:
        """Read from a pipe until some bytes have come, or to its end."""
        data = bytearray()

        def done() -> bool:
            try:
                while chunk := os.read(fd, 1 << 20):
                    data.extend(chunk)
            except BlockingIOError:
                return wanted is not None and wanted in data
            except OSError as error:
                if error.errno != errno.EIO:  # so ends a terminal
                    raise
            return True

        self.until(done, f"{wanted!r} after {bytes(data[-80:])!r}")
        return bytes(data)

    def left(self) -> list[int]:
        """Return who lives of all that this launcher ever started, by mark and by token."""
        return [pid for pid in tree.everybody() if not tree.is_dead(pid) and self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return self.token.encode() in words or tree.mark(pid, tree.LAUNCHER_MARK) == self.mark

    def quit(self) -> None:
        """End the launcher and see that it has left nothing behind."""
        self.client.quit()
        self.wait(LauncherDied)
        self.client.kill()  # reaps it
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """No process, no cgroup, no socket."""
        self.until(lambda: not self.left(), "the end of all processes")
        assert not (self.state_dir / starting.SOCKET_NAME).exists()
        directory = cgroup.directory_of(self.mark)
        assert not directory or not Path(directory).exists()


@pytest.fixture(params=["cgroups", "plain"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A launcher with cgroups where the machine has them, and one without."""
    with_cgroups = request.param == "cgroups"
    if with_cgroups and not os.access(cgroup.own_directory() or "/nowhere", os.W_OK):
        pytest.skip("no cgroup v2 that this user may write")
    made = Lab(tmp_path, cgroups=with_cgroups)
    try:
        yield made
        if made.client.fileno() >= 0:
            made.quit()
        else:
            made.check_nothing_left()
    finally:
        made.client.kill()
        starting.sweep_after_launcher(tmp_path)


@pytest.fixture
def plain_lab(tmp_path: Path) -> Iterator[Lab]:
    """A launcher for what has nothing to do with cgroups."""
    yield from _plain(tmp_path, "link")


@pytest.fixture
def gate_lab(tmp_path: Path) -> Iterator[Lab]:
    """A launcher that traces nothing, as where the system refuses that."""
    directory = tmp_path / "gate"
    directory.mkdir()
    yield from _plain(directory, "gate")


def _plain(state_dir: Path, depth: starting.Depth) -> Iterator[Lab]:
    made = Lab(state_dir, cgroups=False, depth=depth)
    try:
        yield made
        if made.client.fileno() >= 0:
            made.quit()
        else:
            made.check_nothing_left()
    finally:
        made.client.kill()
        starting.sweep_after_launcher(state_dir)

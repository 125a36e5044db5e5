"""A private fabric on this machine: the same broker and agents, as child processes with throw-away keys."""

import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fabric.errors import FabricError
from fabric.keys import OperatorAccess

START_S: Final = 30.0
"""The broker serves within a second; a machine with many agents needs longer."""

END_S: Final = 20.0
"""A child that was asked to end, and has ended its steps, is gone by then; after this it is killed."""


class LocalFabric:
    """A broker and one agent for every node, from ``start`` to ``close``.

    All children hold the read end of one pipe, the lifeline.  When this process ends, however it ends, they
    see its end and go, with everything that they have started and written.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fabric-local-"))
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lifeline_read, self._lifeline = os.pipe()
        self._log = (self.directory / "log").open("ab")

    def start(self, nodes: Iterable[str]) -> OperatorAccess:
        """Start everything; return how to reach the broker, which waits for its agents.

        Raises:
            FabricError: If the broker does not come up.
        """
        announced = self._start_broker()
        for node in nodes:
            self._spawn(
                node,
                "agents",
                announced["url"],
                *("--join", announced["join"], "--name", node, "--addr", "=127.0.0.1"),
                *("--state-dir", str(self.directory / f"agent-{node}")),
            )
        access = OperatorAccess.load(Path(announced["operator_file"]))
        assert access is not None, "the broker has just written it"
        return access

    def dead(self) -> str:
        """Name a child that has ended by itself, with the last line that it logged; "" if all live."""
        for name, child in self._children.items():
            if child.poll() is not None:
                return f"the local {name} ended with {child.returncode}{self._last_line()}"
        return ""

    def close(self) -> None:
        """End all of them and delete what they have written.  Safe to repeat."""
        if self._lifeline < 0:
            return
        os.close(self._lifeline)
        self._lifeline = -1
        os.close(self._lifeline_read)
        agents = [child for name, child in self._children.items() if name != "broker"]
        until_s = time.monotonic() + END_S
        for child in [*agents, *(self._children[name] for name in ("broker",) if name in self._children)]:
            try:
                child.wait(max(0.1, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_broker(self) -> dict[str, str]:
        read_fd, write_fd = os.pipe()
        state = self.directory / "broker"
        operator = self.directory / "operator.json"
        try:
            self._spawn(
                "broker",
                "broker",
                *("--listen", "tcp://127.0.0.1:0", "--state-dir", str(state)),
                *("--operator-file", str(operator), "--announce-fd", str(write_fd)),
                pass_fd=write_fd,
            )
        finally:
            os.close(write_fd)
        with os.fdopen(read_fd, "rb") as announcement:
            ready, _, _ = select.select([announcement], [], [], START_S)
            line = announcement.readline() if ready else b""
        if not line:
            raise FabricError(f"the local broker did not come up{self._last_line()}")
        announced: dict[str, str] = json.loads(line)
        return announced

    def _spawn(self, name: str, module: str, *words: str, pass_fd: int | None = None) -> None:
        fds = (self._lifeline_read, *([pass_fd] if pass_fd is not None else []))
        self._children[name] = subprocess.Popen(
            [sys.executable, "-m", module, *words, "--lifeline-fd", str(self._lifeline_read), "--ephemeral"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is for the controller; it tells the others
        )

    def _last_line(self) -> str:
        try:
            lines = (self.directory / "log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f": {lines[-1]}" if lines else ""


def new_run_id(name: str, now_s: float) -> str:
    """Return an id that sorts by time: ``20260301-102207-ping-k3f9``."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_s))
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    word = plain.strip("-")[:40] or "run"
    end = "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(4))
    return f"{stamp}-{word}-{end}"

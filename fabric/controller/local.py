"""A private fabric on this machine: the same broker and agents, as child processes with throw-away keys."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from fabric.errors import FabricError
from fabric.keys import OperatorAccess
from fabric.vault import PREFIX

START_S: Final = 90.0
"""The broker serves within a second; a machine with many agents needs longer: its self-test may take 60 s."""

AT_ONCE: Final = 16
"""So many agents start beside the broker.  Beside 100 of them on 2 busy cores it was not up in time."""

END_S: Final = 20.0
"""A child that was asked to end, and has ended its steps, is gone by then; after this it is killed."""


HINT: Final = "hint: "
"""Begins the line below an error of a command."""

TAIL_BYTES: Final = 4096
"""So much of the children's log is read for its last line."""


class LocalFabric:
    """A broker and one agent for every node, from ``start`` to ``close``.

    All children hold the read end of one pipe, the lifeline.  When this process ends, however it ends, they
    see its end and go, with everything that they have started and written; the last one takes the directory
    along, which is why nothing else may lie in it.
    """

    def __init__(self) -> None:
        """Start the broker; it takes a second, in which the caller can do something else."""
        self.directory = Path(tempfile.mkdtemp(prefix="fabric-local-"))
        self.directory.chmod(0o711)  # a step of another user passes through; all that lies here is closed
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lifeline_read, self._lifeline = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the children; has no name to leave
        self._serves = False
        self._announcement = self._start_broker()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, nodes: Mapping[str, Sequence[str]], network: str = "") -> OperatorAccess:
        """Start the agents; return how to reach the broker, which waits for them.

        The agents are told the address later, when the broker has it, and load their modules meanwhile; many
        of them would take the processor from it.

        Args:
            nodes: Their names, each with the labels that it bears.
            network: In which they have an address too, besides the default one; "": none.

        Raises:
            FabricError: If the broker does not come up.
        """
        networks = ("", network) if network else ("",)
        announced = self._await_broker() if len(nodes) > AT_ONCE else None
        told = [self._start_agent(node, labels, networks) for node, labels in nodes.items()]
        announced = announced or self._await_broker()
        for fd in told:
            with suppress(BrokenPipeError), os.fdopen(fd, "w", encoding="ascii") as pipe:
                pipe.write(f"{announced['url']} {announced['join']}\n")
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
        if self._announcement >= 0:
            os.close(self._announcement)
        if not self._serves:
            self._children["broker"].terminate()  # it is not yet where it would see the end of the lifeline
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

    def _start_broker(self) -> int:
        """Return where it says that it serves."""
        read_fd, write_fd = os.pipe()
        state = self.directory / "broker"
        self._spawn(
            "broker",
            "broker",
            *("--listen", "tcp://127.0.0.1:0", "--state-dir", str(state)),
            *("--operator-file", str(state / "operator.json"), "--announce-fd", str(write_fd)),
            pass_fd=write_fd,
        )
        os.close(write_fd)
        return read_fd

    def _await_broker(self) -> dict[str, str]:
        with os.fdopen(self._announcement, "rb") as announcement:
            self._announcement = -1
            ready, _, _ = select.select([announcement], [], [], START_S)
            line = announcement.readline() if ready else b""
        if not line:
            raise FabricError(f"the local broker did not come up{self._last_line()}", self._last_hint())
        self._serves = True
        announced: dict[str, str] = json.loads(line)
        return announced

    def _start_agent(self, node: str, labels: Sequence[str], networks: Sequence[str]) -> int:
        """Return where it is to be told of the broker."""
        read_fd, write_fd = os.pipe()
        self._spawn(
            node,
            "agents",
            *(f"fd:{read_fd}", "--name", node),
            *(word for network in networks for word in ("--addr", f"{network}=127.0.0.1")),
            *(word for label in labels for word in ("--label", label)),
            *("--state-dir", str(self.directory / f"agent-{node}")),
            pass_fd=read_fd,
        )
        os.close(read_fd)
        return write_fd

    def _spawn(self, name: str, module: str, *words: str, pass_fd: int | None = None) -> None:
        fds = (self._lifeline_read, *([pass_fd] if pass_fd is not None else []))
        self._children[name] = subprocess.Popen(
            [sys.executable, "-m", module, *words, "--lifeline-fd", str(self._lifeline_read), "--ephemeral"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is for the controller; it tells the others
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        )

    def _last_line(self) -> str:
        lines = [line for line in self._last_lines() if not line.startswith(HINT)]
        return f": {lines[-1].removeprefix('error: ')}" if lines else ""

    def _last_hint(self) -> str:
        last = (self._last_lines() or [""])[-1]
        return last.removeprefix(HINT) if last.startswith(HINT) else ""

    def _last_lines(self) -> list[str]:
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES))
        return tail.decode(errors="replace").strip().splitlines()

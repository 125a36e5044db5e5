"""A private fabric on this machine: the same broker and agents, as child processes with throw-away keys."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self

from fabric.errors import FabricError
from fabric.keys import OperatorAccess
from fabric.trees import remove_tree
from fabric.vault import PREFIX

START_S: Final = 90.0
"""The broker serves within a second; a machine with many agents needs longer: its self-test may take 60 s."""

END_S: Final = 20.0
"""A child that was asked to end, and has ended its steps, is gone by then; after this it is killed."""

HINT: Final = "hint: "
"""Begins the line below an error of a command."""

TAIL_BYTES: Final = 4096
"""So much of the children's log is read for its last line."""


class LocalFabric:
    """A broker and one agent for every node, from ``start`` to ``close``.

    The broker is a child, and so is the nursery, which forks the agents (`agents.nursery`).  All of them
    hold the read end of one pipe, the lifeline.  When this process ends, however it ends, they see its end
    and go, with everything that they have started and written; the last one takes the directory along, which
    is why nothing else may lie in it.
    """

    def __init__(self) -> None:
        """Start the broker; it takes a second, in which the caller can do something else."""
        self.directory = Path(tempfile.mkdtemp(prefix="fabric-local-"))
        self.directory.chmod(0o711)  # a step of another user passes through; all that lies here is closed
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lifeline_read, self._lifeline = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the children; has no name to leave
        self._serves = False
        self._reports = -1
        self._ended = b""
        self._announcement = self._start_broker()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, nodes: Mapping[str, Sequence[str]], network: str = "") -> OperatorAccess:
        """Start the agents; return how to reach the broker, which waits for them.

        Their modules are loaded while the broker comes up; they are forked when it has an address.

        Args:
            nodes: Their names, each with the labels that it bears.
            network: In which they have an address too, besides the default one; "": none.

        Raises:
            FabricError: If the broker does not come up.
        """
        nursery = self._start_nursery()
        announced = self._await_broker()
        networks = ("", network) if network else ("",)
        words = {node: self._words(node, labels, networks, announced) for node, labels in nodes.items()}
        with suppress(BrokenPipeError), nursery:
            nursery.write(json.dumps(words).encode() + b"\n")
        access = OperatorAccess.load(Path(announced["operator_file"]))
        assert access is not None, "the broker has just written it"
        return access

    def dead(self) -> str:
        """Name a child that has ended by itself, with the last line that it logged; "" if all live."""
        with suppress(BlockingIOError):
            self._ended += os.read(self._reports, 1 << 16)
        if b"\n" in self._ended:
            name, code = self._ended.split(b"\n")[0].decode().split()
            return f"the local {name} ended with {code}{self._last_line()}"
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
        broker, nursery = self._children["broker"], self._children.get("agents")
        if not self._serves:
            broker.terminate()  # it is not yet where it would see the end of the lifeline
        until_s = time.monotonic() + END_S
        if nursery is not None:
            assert nursery.stdin is not None
            nursery.stdin.close()  # it may wait for words still
            self._end(nursery, until_s, nursery.terminate)
            os.close(self._reports)
        self._end(broker, until_s, broker.kill)
        self._log.close()
        remove_tree(self.directory)

    def _end(self, child: subprocess.Popen[bytes], until_s: float, force: Callable[[], None]) -> None:
        try:
            child.wait(max(0.1, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            force()
            child.wait()

    def _start_broker(self) -> int:
        """Return where it says that it serves."""
        read_fd, write_fd = os.pipe()
        state = self.directory / "broker"
        self._spawn(
            "broker",
            "broker",
            *("--listen", "tcp://127.0.0.1:0", "--state-dir", str(state)),
            *("--operator-file", str(state / "operator.json"), "--announce-fd", str(write_fd)),
            *("--lifeline-fd", str(self._lifeline_read), "--ephemeral"),
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

    def _start_nursery(self) -> IO[bytes]:
        """Return where it is to be told of the agents."""
        self._reports, write_fd = os.pipe()
        os.set_blocking(self._reports, False)
        nursery = self._spawn("agents", "agents.nursery", stdin=subprocess.PIPE, stdout=write_fd)
        os.close(write_fd)
        assert nursery.stdin is not None
        return nursery.stdin

    def _words(
        self, node: str, labels: Sequence[str], networks: Sequence[str], announced: Mapping[str, str]
    ) -> list[str]:
        """Return those of an agent's command."""
        return [
            *(announced["url"], "--join", announced["join"], "--name", node),
            *(word for network in networks for word in ("--addr", f"{network}=127.0.0.1")),
            *(word for label in labels for word in ("--label", label)),
            *("--state-dir", str(self.directory / f"agent-{node}")),
            *("--lifeline-fd", str(self._lifeline_read), "--ephemeral"),
        ]

    def _spawn(
        self,
        name: str,
        module: str,
        *words: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        pass_fd: int | None = None,
    ) -> subprocess.Popen[bytes]:
        fds = (self._lifeline_read, *([pass_fd] if pass_fd is not None else []))
        self._children[name] = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=stdin,
            stdout=stdout,
            stderr=self._log,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is for the controller; it tells the others
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        )
        return self._children[name]

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

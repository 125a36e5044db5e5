"""Coming to a launcher: connect to the one that lives in a state directory, or start one there."""

# The functions of os: a pathlib.Path would fold the /proc path that keeps the address short.
# ruff: noqa: PTH101, PTH108

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from agents.launcher import cgroup, sweep, tree
from fabric import __version__

SOCKET_NAME: Final = "launcher.sock"

Depth = Literal["link", "exec", "gate"]
"""How far a step is brought before its release, at most."""

_ROOT: Final = str(Path(__file__).resolve().parents[2])
_CODE: Final = f"import sys; sys.path.insert(0, {_ROOT!r}); from agents.launcher.main import main; main()"
_BACKLOG: Final = 4
_PRIVATE: Final = 0o600


def mark_of(state_dir: Path) -> str:
    """Return what names a state directory on this machine, however its path is written."""
    status = state_dir.stat()
    return f"{status.st_dev:x}-{status.st_ino:x}"


def connect(state_dir: Path) -> socket.socket | None:
    """Connect to the launcher that lives here; None if there is none."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_path(state_dir) as path:
            sock.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError:
        sock.close()
        raise
    return sock


def launch(
    state_dir: Path, *, lease_s: float, grace_s: float, cgroups: bool, depth: Depth, spins: bool
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a launcher and connect to it; it takes the connection when it is up.

    The socket is made here and inherited, so there is no moment in which to wait for its name.
    """
    mark = mark_of(state_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, _short_path(state_dir) as path:
        with suppress(FileNotFoundError):
            os.unlink(path)  # of a launcher that was killed
        listener.bind(path)
        os.chmod(path, _PRIVATE)  # nobody can connect before listen
        listener.listen(_BACKLOG)
        name = str(state_dir.absolute() / SOCKET_NAME)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # first: one without it would be alone
        limits = (lease_s, grace_s, int(cgroups), depth, int(spins))
        words = (listener.fileno(), name, mark, *limits, __version__)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CODE, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )
        except OSError:
            sock.close()
            raise
        sock.connect(path)
    return process, sock


def sweep_after_launcher(state_dir: Path) -> list[int]:
    """Kill what a dead launcher of this directory had started; return who could not be killed."""
    mark = mark_of(state_dir)
    path = cgroup.directory_of(mark)
    if path:
        cgroup.kill(path)
    left = sweep.kill_marked(tree.LAUNCHER_MARK, mark)
    if path:
        cgroup.end(path)
    return left


@contextmanager
def _short_path(state_dir: Path) -> Iterator[str]:
    """Give the socket a path that fits in the 108 bytes of a Unix address, wherever the directory is."""
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET_NAME}"
    finally:
        os.close(directory)

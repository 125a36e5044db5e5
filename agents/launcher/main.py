"""The launcher process: what is done once, before its first turn and after its last."""

from __future__ import annotations

import gc
import os
import resource
import sys
import time

from agents.launcher import cgroup, child, headstart, libc, sweep
from agents.launcher.bare import signal, socket
from agents.launcher.lease import Lease
from agents.launcher.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NS = 1_000_000_000


def main() -> None:
    """Serve the agent that started this process.

    Arguments: descriptor of the listening socket, its path, the mark of this launcher (which names the state
    directory), lease and grace in seconds, 1 or 0 for cgroups or none, how far steps are brought before their
    release (link, exec or gate), 1 or 0 for spinning or none, and its version.
    """
    listener_fd, path, mark, lease_s, grace_s, cgroups, depth, spins, software = sys.argv[1:10]
    inherited = child.Inherited()
    os.chdir("/")
    _be_what_it_has_to_be()
    signals = _catch_signals()
    os.set_inheritable(int(listener_fd), False)
    listener = socket.socket(fileno=int(listener_fd))
    # Listening again makes this process the one that SO_PEERCRED names to later agents.
    listener.listen(4)
    lease = Lease(int(float(lease_s) * _NS), int(float(grace_s) * _NS), time.monotonic_ns())
    leaves = cgroup.Cgroups(mark if cgroups == "1" else "")
    # Children share these pages as long as nobody writes to them, and no collection falls into a release.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        Loop(
            listener=listener,
            path=path,
            signals=signals,
            lease=lease,
            cgroups=leaves,
            inherited=inherited,
            mark=mark,
            depth=depth,
            spins=spins == "1",
            software=software,
        ).run()
    except BaseException:
        # A mistake in the launcher must not leave a process behind.
        sweep.kill_below()
        leaves.close()
        raise


def _be_what_it_has_to_be() -> None:
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(libc.PR_SET_TIMERSLACK, 1)
    headstart.be_first()
    libc.lock_memory()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _catch_signals() -> int:
    """Return a descriptor that brings the numbers of signals."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _ignore)
    return read_end


def _ignore(_number: int, _frame: Any) -> None:
    """Do nothing: the number has gone into the pipe already."""

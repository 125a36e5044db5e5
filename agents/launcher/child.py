"""A step's process, from fork to exec.

The child waits at its gate, a pipe, until the launcher traces it or has found that it cannot.  Then it makes
itself ready completely.  If it is traced it goes on to its exec, where the kernel stops it; else it waits at
the gate once more.  The end of the pipe (the launcher is gone) ends it.  A second pipe closes by the exec
itself, or brings the error of it.
"""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH115, PTH123, PTH208

from __future__ import annotations

import errno
import os
import resource
from fcntl import fcntl

from agents.launcher import libc, terminal
from agents.launcher.bare import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agents.launcher.account import Account
    from agents.launcher.bounds import Bound
    from agents.launcher.cgroup import Leaf

PIPE_BYTES = 1 << 20
"""Room of a step's stdout and stderr: the most that Linux gives to a user without privilege."""

_F_SETPIPE_SZ = 1031
_OOM_SCORE = "/proc/self/oom_score_adj"
_NO_EXEC = 127  # what a shell says of a program that cannot be executed


class Inherited:
    """What the launcher changes for itself and every step gets back as it was."""

    def __init__(self) -> None:
        self.umask = os.umask(0o077)
        self.timer_slack_ns = libc.get_timer_slack()
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.is_spared = _oom_score() < 0  # as a service; its steps are not what must survive


class Plan:
    """What to execute, and in which surroundings.  ``stdin`` is the plan's until `close`."""

    __slots__ = (
        "account",
        "argv",
        "bounds",
        "directory",
        "env",
        "is_terminal",
        "leaf",
        "limits",
        "path",
        "stdin",
        "umask",
    )

    def __init__(self, path: str, argv: list[str], env: dict[str, str], directory: str, stdin: int) -> None:
        self.path = path
        self.argv = [os.fsencode(word) for word in argv]
        self.env = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        self.directory = directory
        self.stdin = stdin
        self.umask: int | None = None
        self.leaf: Leaf | None = None
        self.account: Account | None = None  # None: as the launcher
        self.is_terminal = False  # its output is one
        self.bounds: list[Bound] = []
        self.limits: dict[str, int] = {}  # the same by name

    @property
    def uid(self) -> int:
        """Its user."""
        return os.geteuid() if self.account is None else self.account.uid

    @property
    def is_root(self) -> bool:
        """Whether the kernel lets it pass limits that bind others."""
        return self.uid == 0

    def close(self) -> None:
        """Close what only the child needs."""
        os.close(self.stdin)


TRACED, UNTRACED = b"s", b"g"
"""The first byte at the gate: go on to the exec, or wait before it."""


class Gated:
    """A child at its gate, seen from the launcher, which owns the four descriptors.

    ``stdout`` and ``stderr`` are non-blocking read ends; ``gate`` is to write, ``failure`` to read.
    ``outputs`` is what the child's ends of the first two are called in /proc.
    """

    __slots__ = ("failure", "gate", "outputs", "pid", "stderr", "stdout")

    def __init__(self, pid: int, stdout: int, stderr: int, gate: int, failure: int) -> None:
        self.pid = pid
        self.outputs: set[str] = set()
        self.stdout = stdout
        self.stderr = stderr
        self.gate = gate
        self.failure = failure


def fork(plan: Plan, inherited: Inherited) -> Gated:
    """Return a child that waits at its gate.

    Raises:
        CannotStartError: If there is no terminal for it; nothing remains of the attempt.
        OSError: If the system has no process or descriptor left; neither.
    """
    pairs: list[tuple[int, int]] = []
    # A signal in the child before its handlers are its own would act in the launcher's name.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        _open(plan, pairs)
        launcher = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(plan, inherited, launcher, pairs)
    except BaseException:
        for pair in pairs:
            os.close(pair[0])
            os.close(pair[1])
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return _keep(pid, pairs)


def _open(plan: Plan, pairs: list[tuple[int, int]]) -> None:
    """Open stdout, stderr, gate and failure; what is opened is to be closed when the next one fails."""
    pairs.append(terminal.open_pair() if plan.is_terminal else os.pipe())
    for _ in range(3):
        pairs.append(os.pipe())  # noqa: PERF401
    if plan.account is not None:
        for _, end in pairs[:2]:
            plan.account.own(end)


def _keep(pid: int, pipes: list[tuple[int, int]]) -> Gated:
    (stdout, out_end), (stderr, err_end), (gate_end, gate), (failure, failure_end) = pipes
    outputs = {os.readlink(f"/proc/self/fd/{fd}") for fd in (out_end, err_end)}
    for fd in (out_end, err_end, gate_end, failure_end):
        os.close(fd)
    for fd in (stdout, stderr, failure):
        os.set_blocking(fd, False)
    for fd in (stdout, stderr):
        try:
            fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            continue  # a terminal, or over the user's share of pipe memory: 64 KiB will do
    gated = Gated(pid, stdout, stderr, gate, failure)
    gated.outputs = outputs
    return gated


def _become(plan: Plan, inherited: Inherited, launcher: int, pairs: list[tuple[int, int]]) -> None:
    """Be the child; never return."""
    (_, stdout), (_, stderr), (gate, _), (_, failure) = pairs
    doing = ""
    try:
        held = os.read(gate, 1)
        os.setsid()
        if plan.leaf is not None:
            plan.leaf.join()
        _reset(plan, inherited)
        if plan.is_terminal:
            terminal.control(stdout)
            stderr = stdout
        for source, target in ((plan.stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
        _close_but((0, 1, 2, gate, failure))
        doing = "its limits: "
        for number, soft, hard in plan.bounds:  # before the user: only root raises them
            resource.setrlimit(number, (soft, hard))
        doing = "its user: "
        if plan.account is not None:
            plan.account.become()
        doing = "its directory: "
        os.chdir(plan.directory)
        doing = ""
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user would have undone it
        # If the launcher had died before that call, nobody would ever open the gate or kill.
        if held and os.getppid() == launcher and (held == TRACED or os.read(gate, 1)):
            os.execve(plan.path, plan.argv, plan.env)  # noqa: S606 - the step's own words, no shell wanted
    except BaseException as error:  # noqa: BLE001 - whatever it is, the launcher is to hear of it
        os.write(failure, f"{getattr(error, 'errno', None) or errno.EIO} {doing}".encode())
    finally:
        os._exit(_NO_EXEC)


def _close_but(kept: tuple[int, ...]) -> None:
    """Close what exec would close: until then this child would hold the pipes of every other step."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself


def _reset(plan: Plan, inherited: Inherited) -> None:
    """Give the program what it would find without the launcher: signals, limits, umask, timers."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # KILL, STOP and those that the C library keeps for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    libc.prctl(libc.PR_SET_TIMERSLACK, inherited.timer_slack_ns)
    resource.setrlimit(resource.RLIMIT_NOFILE, inherited.files)
    os.umask(inherited.umask if plan.umask is None else plan.umask)
    if inherited.is_spared:
        with open(_OOM_SCORE, "w") as file:
            file.write("0")


def _oom_score() -> int:
    """Return how gladly the kernel kills this process when memory is short: 0 is as others."""
    try:
        with open(_OOM_SCORE) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0

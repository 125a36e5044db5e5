"""A cgroup v2 leaf for each step, where the system lets us; otherwise there is none and nobody minds.

``cgroup.kill`` ends a whole leaf at once, forks in progress included.  No controller is needed for that.
"""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH102, PTH106, PTH110, PTH112, PTH118, PTH123

from __future__ import annotations

import os
import time

PREFIX = "testfabric-"

INNER = "testfabric"
"""Below a cgroup that was delegated: agent and launcher are moved there when a step has a limit."""

CONTROLLERS = {"memory": ("memory", "memory.max"), "processes": ("pids", "pids.max")}
"""By the limit of a step: who keeps it in a cgroup, and in which file."""

_DEATH_NS = 2_000_000_000
_PAUSE_S = 0.002


def own_directory() -> str:
    """Return where this process' cgroup v2 is mounted, or nothing."""
    try:
        own = path_of(os.getpid())
        with open("/proc/self/mountinfo") as file:
            mounts = [line.split() for line in file if " - cgroup2 " in line]
    except OSError:
        return ""
    for fields in mounts:
        root, point = fields[3], fields[4]
        inside = own.startswith(root.rstrip("/") + "/") or own == root
        if own and inside:
            return os.path.join(point, own[len(root.rstrip("/")) :].strip("/"))
    return ""


def directory_of(name: str) -> str:
    """Return where the cgroups of a launcher are, for a process in the same cgroup or `INNER`; or nothing."""
    parent = own_directory().rstrip("/").removesuffix(f"/{INNER}")
    return f"{parent}/{PREFIX}{name}" if parent else ""


class Leaf:
    """The cgroup of one step."""

    __slots__ = ("_procs", "is_limited", "path")

    def __init__(self, path: str) -> None:
        """Make it; the directory must not be there yet."""
        self.path = path
        self.is_limited = False
        os.mkdir(path)
        try:
            # Opened here, so that the child has nothing to look up between fork and gate.
            self._procs = os.open(f"{path}/cgroup.procs", os.O_WRONLY)
        except OSError:
            os.rmdir(path)
            raise

    def join(self) -> None:
        """Move the calling process into the leaf; if the kernel refuses, it goes on outside."""
        try:
            os.write(self._procs, b"0")
        except OSError:
            return

    def limit(self, name: str, value: int) -> bool:
        """Set a limit of a step; say whether the leaf keeps it."""
        if name not in CONTROLLERS:
            return False
        controller, file = CONTROLLERS[name]
        if not os.path.exists(f"{self.path}/{file}"):
            _hand_down(controller, self.path.rsplit("/", 1)[0])
        self.is_limited = True
        if not _write(f"{self.path}/{file}", str(value)):
            return False
        if name == "memory":
            _write(
                f"{self.path}/memory.swap.max", "0"
            )  # without swap there is no such file, which is as good
        return True

    @property
    def oom_kills(self) -> int:
        """How many processes of it were killed because it had no memory left."""
        try:
            with open(f"{self.path}/memory.events") as file:
                counts = dict(line.split() for line in file)
        except (OSError, ValueError):
            return 0
        return int(counts.get("oom_kill", 0))

    def kill(self) -> bool:
        """Kill all in the leaf; say whether the kernel has done so."""
        return kill(self.path)

    def members(self) -> list[int]:
        """Return the pids in the leaf and below it; a dying one may still be among them."""
        return [] if self._is_empty() else members(self.path)

    def holds(self, place: str) -> bool:
        """Say whether the kernel's name of a cgroup means this leaf or one below it."""
        name = "/".join(self.path.rsplit("/", 2)[1:])
        return f"/{name}/" in f"{place}/"

    def remove(self) -> bool:
        """Remove the leaf; say whether it is gone."""
        if self._procs >= 0:
            os.close(self._procs)
            self._procs = -1
        return remove(self.path)

    def _is_empty(self) -> bool:
        try:
            with open(f"{self.path}/cgroup.events", "rb") as file:
                return b"populated 0" in file.read()
        except OSError:
            return True


class Cgroups:
    """The directory of one launcher, with a leaf for each of its steps."""

    def __init__(self, name: str) -> None:
        """Make the directory, or be without cgroups if that is not possible or ``name`` is empty."""
        self.path = ""
        self._count = 0
        self._leaves: list[Leaf] = []
        self._left: list[Leaf] = []
        path = directory_of(name)
        if not name or not path:
            return
        end(path)  # of a launcher that was killed
        try:
            os.mkdir(path)
            if os.access(f"{path}/cgroup.procs", os.W_OK):
                self.path = path
            else:
                os.rmdir(path)
        except OSError:
            return

    def leaf(self) -> Leaf | None:
        """Return a new leaf, or None."""
        if not self.path:
            return None
        self._count += 1
        try:
            made = Leaf(f"{self.path}/{self._count}")
        except OSError:
            return None
        self._leaves.append(made)
        return made

    def remove(self, leaf: Leaf) -> None:
        """Remove a leaf, or try again later: the kernel may be busy with its last process."""
        self._left = [other for other in (*self._left, leaf) if not other.remove()]
        self._leaves = [other for other in self._leaves if other is not leaf]
        if leaf.is_limited and not any(other.is_limited for other in self._leaves):
            _take_back(self.path)

    def close(self) -> None:
        """Remove all that was made here and has no process in it."""
        self._left = [leaf for leaf in self._left if not leaf.remove()]
        if self.path and end(self.path):
            self.path = ""


def _hand_down(controller: str, path: str) -> None:
    """Have a controller in the cgroups below a launcher's.

    What is above is ours only if it was delegated; the root cgroup is the system's, though it would take it.
    The kernel refuses where processes are beside them: those of our cgroup go out of the way.
    """
    above = path.rsplit("/", 1)[0]
    control = f"{above}/cgroup.subtree_control"
    if is_delegated(above) and not _write(control, f"+{controller}"):
        _move_inside(above)
        _write(control, f"+{controller}")
    _write(f"{path}/cgroup.subtree_control", f"+{controller}")


def _take_back(path: str) -> None:
    """Have no controllers below a launcher's cgroup any more, nor beside it if that was delegated.

    A service manager could not start another agent in a cgroup that has them.
    """
    above = path.rsplit("/", 1)[0]
    for directory in (path, above) if is_delegated(above) else (path,):
        for controller, _ in CONTROLLERS.values():
            _write(f"{directory}/cgroup.subtree_control", f"-{controller}")


def is_delegated(path: str) -> bool:
    """Say whether a service manager has given a cgroup to those who are in it; systemd notes it there."""
    for name in ("user.delegate", "trusted.delegate"):  # the second one is for root, of older versions
        try:
            if os.getxattr(path, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _move_inside(path: str) -> None:
    """Move the processes of a cgroup to one below it."""
    try:
        os.mkdir(f"{path}/{INNER}")
    except FileExistsError:
        pass  # an agent that has come since is beside it
    except OSError:
        return
    for pid in _pids(path):
        _write(f"{path}/{INNER}/cgroup.procs", str(pid))


def _write(path: str, text: str) -> bool:
    """Write to a file of the kernel; say whether it has taken that.  None is made where there is none."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def path_of(pid: int) -> str:
    """Return the cgroup of a process as the kernel names it, or nothing."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            return next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
    except OSError:
        return ""


def kill(path: str) -> bool:
    """Kill all processes of a cgroup and below; say whether the kernel has done so."""
    return _write(f"{path}/cgroup.kill", "1")  # not before Linux 5.14


def members(path: str) -> list[int]:
    """Return the pids of a cgroup and of those below it."""
    pids: list[int] = []
    for directory in _tree(path):
        pids += _pids(directory)
    return pids


def _pids(path: str) -> list[int]:
    try:
        with open(f"{path}/cgroup.procs") as file:
            return [int(line) for line in file]
    except OSError:
        return []  # gone, or a threaded one, which has no list of processes


def remove(path: str) -> bool:
    """Remove an empty cgroup and those below it; say whether all are gone."""
    for directory in _tree(path):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def end(path: str) -> bool:
    """Kill all in a cgroup and remove it; say whether it is gone.

    Blocks for a moment: those who were killed leave it only as they die.
    """
    until_ns = time.monotonic_ns() + _DEATH_NS
    while os.path.isdir(path):
        kill(path)
        if remove(path):
            break
        if time.monotonic_ns() >= until_ns:
            return False
        time.sleep(_PAUSE_S)
    return True


def _tree(path: str) -> list[str]:
    """Return a cgroup and those below it, the deepest first; a step of root makes them as deep as it can."""
    found = [path]
    for above in found:  # grows while it is walked
        try:
            found += [entry.path for entry in os.scandir(above) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return found[::-1]

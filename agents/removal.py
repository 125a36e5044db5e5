"""Deleting what may be large, beside the agent's loop: ten thousand files take seconds on a busy disk."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from fabric.log import get_logger
from fabric.trees import remove_tree

log = get_logger()

_GONE = "gone"
_SCRATCH = "scratch"


def scratch_of(state_dir: Path, run: str) -> Path:
    """Return the directory in which the steps of a run work on this node."""
    return state_dir / _SCRATCH / run


def remove_later(state_dir: Path, path: Path) -> None:
    """Take a directory of the state directory away at once, and delete it in a thread of its own.

    What the end of the agent leaves of it is deleted by `remove_leftovers`, and what cannot be deleted now is
    tried again there.
    """
    _start(_taken_away(state_dir, path))


def remove_leftovers(state_dir: Path, is_wanted: Callable[[str], bool]) -> None:
    """Delete what earlier lives had taken away, and the directories of runs that are over on this node.

    A life that is killed between the end of its reset and the end of the run leaves one, and owes nothing.

    Args:
        state_dir: Of the agent.
        is_wanted: Returns whether something is still to be done here for this run.
    """
    scratch = state_dir / _SCRATCH
    for path in sorted(scratch.iterdir()) if scratch.is_dir() else ():
        if not is_wanted(path.name):
            _taken_away(state_dir, path)
    _start(state_dir / _GONE)


def _taken_away(state_dir: Path, path: Path) -> Path:
    """Give a directory a name that is in nobody's way; if that cannot be, it keeps the one it has."""
    gone = state_dir / _GONE / f"{path.name}.{time.monotonic_ns()}"
    try:
        gone.parent.mkdir(mode=0o700, exist_ok=True)
        return path.rename(gone)
    except OSError:
        return path


def _start(path: Path) -> None:
    threading.Thread(target=_remove, args=(path,), name="removal", daemon=True).start()


def _remove(path: Path) -> None:
    """Delete a directory; say it once if that cannot be."""
    try:
        why = remove_tree(path)
    except Exception as error:  # noqa: BLE001 - a thread that dies says nothing, and the disk is lost all the same
        why = f"{type(error).__name__}: {error}"
    if why:
        log.warning("directory_not_removed", path=str(path), why=why)

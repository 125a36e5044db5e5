"""Deleting what may be large, beside the agent's loop: ten thousand files take seconds on a busy disk."""

import shutil
import threading
from contextlib import suppress
from pathlib import Path

_GONE = "gone"


def remove_later(state_dir: Path, path: Path) -> None:
    """Take a directory of the state directory away at once, and delete it in a thread of its own.

    What the end of the agent leaves of it is deleted by `remove_leftovers`.
    """
    gone = state_dir / _GONE / path.name
    with suppress(OSError):
        gone.parent.mkdir(mode=0o700, exist_ok=True)
        path.rename(gone)
        _start(gone)
        return
    shutil.rmtree(path, ignore_errors=True)  # an older one is in its way


def remove_leftovers(state_dir: Path) -> None:
    """Delete what an earlier life had taken away and not deleted."""
    _start(state_dir / _GONE)


def _start(path: Path) -> None:
    threading.Thread(target=shutil.rmtree, args=(path, True), name="removal", daemon=True).start()

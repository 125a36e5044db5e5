"""Reads trial files: the one module of the language that touches the disk."""

import os
import stat
from glob import iglob
from pathlib import Path

from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.trial.model import Trial
from fabric.trial.parse import parse_trial
from fabric.trial.secrets import LookSecret
from fabric.trial.transfers import is_glob
from fabric.trial.wholefile import not_utf8, too_large, whole_file

__all__ = ["load_trial", "parse_trial"]


def load_trial(path: Path, look_secret: LookSecret | None = None) -> Trial:
    """Read a trial file, and look whether the files are beside it that it puts on nodes.

    Args:
        path: Of the file.
        look_secret: Says why a secret cannot be had; None: not to be looked for.

    Raises:
        TrialError: If there is no such file, or anything is wrong with it.
    """
    name = str(path)
    try:
        raw = _read(path)
    except FileNotFoundError:
        raise whole_file(name, "E001", "there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise whole_file(name, "E001", f"cannot be read: {reason}") from None
    if len(raw) > MAX_TEXT_BYTES:
        raise too_large(name)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(name, raw, error.start) from None
    return parse_trial(text, name, lambda source: _about_source(path.parent, source), look_secret)


def _read(path: Path) -> bytes:
    """Return the bytes of a regular file, up to one more than a trial may have.

    A pipe is refused, also as /dev/stdin: messages name the file's lines, and what a put copies is beside it.
    """
    # A pipe that nobody writes to would block the open, and with it the whole command.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise whole_file(str(path), "E001", "this is a directory", "name the trial.toml in it")
        if not stat.S_ISREG(mode):
            raise whole_file(str(path), "E001", "this is no regular file", "save the trial to a file first")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_TEXT_BYTES + 1)
    finally:
        os.close(descriptor)


def _about_source(folder: Path, source: str) -> str:
    """Return what is wrong with a file, directory or pattern that a put names; "" if nothing is."""
    try:
        if is_glob(source) and not (folder / source).exists():
            found = next(iglob(source, root_dir=folder, recursive=True), None)  # noqa: PTH207 - lazy, and takes absolute ones
            return "" if found else f"no file matches `{source}`"
        mode = (folder / source).stat().st_mode
    except FileNotFoundError:
        return f"there is no file `{source}`"
    except RecursionError:
        return f"the directories here are too deep for `{source}`"
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return f"`{source}` cannot be read: {reason}"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return f"`{source}` is neither a file nor a directory"
    return "" if os.access(folder / source, os.R_OK) else f"`{source}` cannot be read: no permission"

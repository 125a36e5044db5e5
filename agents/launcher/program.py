"""Whether a step can be started at all: the program, its directory, its words."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH110, PTH112, PTH113, PTH118, PTH123

from __future__ import annotations

import os

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""For an environment without PATH."""


class CannotStartError(Exception):
    """A sentence that says why a step cannot be started."""


def find(argv: list[str], env: dict[str, str], directory: str) -> str:
    """Return the path to execute, as ``execvp`` would find it from ``directory``.

    Raises:
        CannotStartError: If the directory is missing, or the program is unknown or not executable.
    """
    _check_words(argv, env)
    _check_directory(directory)
    name = argv[0]
    return _as_it_stands(name, directory) if "/" in name else _in_path(name, env, directory)


def _check_directory(directory: str) -> None:
    if not directory.startswith("/"):
        raise CannotStartError(f"directory {directory!r} is not an absolute path")
    closed = _closed(directory)
    if closed:
        above = "" if closed == directory else f": {closed!r} is closed to it"
        raise CannotStartError(f"directory {directory!r} may not be entered by the step's user{above}")
    if not os.path.exists(directory):
        raise CannotStartError(f"directory {directory!r} does not exist")
    if not os.path.isdir(directory):
        raise CannotStartError(f"{directory!r} is no directory")


def _closed(directory: str) -> str:
    """Return the highest directory on the way that may not be entered, or nothing."""
    names = directory.rstrip("/").split("/")
    for count in range(1, len(names) + 1):
        part = "/".join(names[:count]) or "/"
        if os.path.isdir(part) and not may(part, os.X_OK):
            return part
    return ""


def may(path: str, mode: int) -> bool:
    """Say whether the effective user, which is the step's while a step is looked at, may use a path."""
    return os.access(path, mode, effective_ids=True)


def _check_words(argv: list[str], env: dict[str, str]) -> None:
    if not argv or not argv[0]:
        raise CannotStartError("the command is empty")
    for word in argv:
        if "\0" in word:
            raise CannotStartError(f"the command has a NUL byte in {word!r:.60}")
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise CannotStartError(f"the environment has an impossible entry {name!r:.60}")


def _as_it_stands(name: str, directory: str) -> str:
    path = os.path.join(directory, name)
    if not os.path.exists(path):
        raise CannotStartError(f"program {name!r} does not exist")
    if not _is_executable(path):
        raise CannotStartError(f"program {name!r} is not executable by the step's user")
    return name


def _in_path(name: str, env: dict[str, str], directory: str) -> str:
    search = env.get("PATH") or DEFAULT_PATH
    refused = ""
    for entry in search.split(":"):
        path = os.path.join(entry or ".", name)  # an empty entry is the directory itself
        full = os.path.join(directory, path)
        if _is_executable(full):
            return path
        if os.path.isfile(full):
            refused = refused or path
    if refused:
        raise CannotStartError(f"program {refused!r} is not executable by the step's user")
    raise CannotStartError(f"there is no program {name!r} in the PATH of the step")


def is_executed_alone(path: str) -> bool:
    """Say whether the kernel knows what to do with a file: a shell reads any other as its own script."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start == b"\x7fELF" or start.startswith(b"#!")


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and may(path, os.X_OK)

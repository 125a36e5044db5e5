"""The commands as a user has them, with directories of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 90.0

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of this user's is touched."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FABRIC_", "XDG_"))}
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    return own | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TMPDIR": str(scratch),
        "NO_COLOR": "1",
    }


@pytest.fixture
def command(home: dict[str, str], tmp_path: Path) -> Command:
    """Run a command of the fabric in an empty directory and return what it said."""
    work = tmp_path / "work"
    work.mkdir()

    def run(name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(Path(sys.executable).with_name(name)), *words],
            cwd=work, env=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=LIMIT_S,
        )  # fmt: skip

    return run

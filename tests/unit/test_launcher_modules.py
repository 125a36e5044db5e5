"""What the launcher process may cost."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "ctypes",
    "dataclasses",
    "enum",
    "inspect",
    "json",
    "pathlib",
    "re",
    "signal",
    "socket",
    "subprocess",
}


def test_the_launcher_imports_nothing_heavy() -> None:
    """It is started before every run and lives beside every agent: 30 ms and a few MB are its budget."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import agents.launcher.main\n"
        "print(*sys.modules, sep='\\n')"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    tops = {name.partition(".")[0] for name in found}
    assert "agents" in tops
    assert not tops & (HEAVY | {"typing", "zmq", "msgpack", "click", "structlog", "fabric", "broker"})

"""docs/protocol.md is what scripts/generate-protocol-docs would write."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_description_of_the_protocol_is_current() -> None:
    """Who writes another agent reads it, and nobody would look for what was forgotten."""
    script = ROOT / "scripts" / "generate-protocol-docs"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

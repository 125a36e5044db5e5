"""The benchmark of a start runs: its C programs build, and its ways tell a number for each node."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "scripts" / "bench" / "start_skew.py"


@pytest.mark.skipif(not shutil.which("cc"), reason="the programs of the benchmarks need a C compiler")
def test_the_benchmark_of_a_start_tells_what_every_program_saw(tmp_path: Path) -> None:
    """A benchmark that nobody runs is broken when it is wanted.  Without the fabric: that takes seconds."""
    words = [sys.executable, BENCH, "--nodes", "3", "--starts", "2", "--rounds", "1", "--ways", "conductor"]
    done = subprocess.run([*words, "-o", tmp_path], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (case,) = json.loads((tmp_path / "start_skew.json").read_text())["cases"]
    assert set(case["ways"]) >= {"floor B", "floor A", "floor A dynamic", "floor A sh -c", "Conductor's way"}
    for starts in case["ways"].values():
        assert [len(start["stamps_ns"]) for start in starts] == [3, 3]
    assert (tmp_path / "start_skew.svg").read_text().startswith("<svg")

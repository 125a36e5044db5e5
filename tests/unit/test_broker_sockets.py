"""Which ports a broker takes that was told none."""

from pathlib import Path

import pytest

from broker import sockets
from fabric.config import PORTS


@pytest.mark.parametrize(
    ("told", "lowest", "highest"), [("32768\t60999\n", 10_240, 32_767), ("1024 65535", 0, 0)]
)
def test_they_are_below_those_of_connections(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, lowest: int, highest: int
) -> None:
    """Agents on the same machine have thousands of those; where nothing is below, the kernel chooses."""
    path = tmp_path / "range"
    path.write_text(told)
    monkeypatch.setattr(sockets, "_RANGE", path)
    found = [sockets._any_port() for _ in range(200)]
    assert all(lowest <= port <= max(0, highest - PORTS) for port in found)

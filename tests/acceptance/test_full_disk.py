"""The disk of the bundles is full: a sentence, the reset is done, nothing hangs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command

TRIAL = """\
[trial]
name = "full"
[nodes]
db = "lab1"
[run]
db = { cmd = "head -c 20000000 /dev/zero > big" }
[collect]
db = { fetch = "big" }
[reset]
db = "touch PLACE/was-reset"
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_bundle_that_does_not_fit_ends_the_run(command: Command, tmp_path: Path, small: Path) -> None:
    """The fetch is ended at once, for nobody could keep what it brings; the nodes are left clean."""
    (tmp_path / "work/trial.toml").write_text(TRIAL.replace("PLACE", str(tmp_path)))
    done = command("fabric-run", "--local", "trial.toml", "-o", str(small / "runs"))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "cannot write the bundle: " in done.stdout
    assert "No space left on device" in done.stdout
    assert (tmp_path / "was-reset").exists()
    (bundle,) = [path for path in (small / "runs").iterdir() if path.name != "latest"]
    assert not (bundle / "MANIFEST.sha256").exists()

"""The units of systemd: what its own tool says of them, and what the services count on."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

FOLDER = ROOT / "configs" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
TOOL = shutil.which("systemd-analyze")
EXPOSURE = {"testfabric-broker": 25}
"""Most that systemd-analyze may find exposed, in tenths: a broker needs its files and sockets only."""

needs_the_tool = pytest.mark.skipif(TOOL is None, reason="systemd-analyze is not installed")


def settings(unit: Path) -> configparser.SectionProxy:
    """Return what the last line of each key says."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser["Service"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a copy of the units that start the programs of this checkout: others are not installed."""
    programs = Path(sys.executable).parent
    for unit in UNITS:
        text = unit.read_text().replace("/opt/testfabric/bin", str(programs))
        (tmp_path / unit.name).write_text(text)
    return tmp_path


@needs_the_tool
def test_systemd_finds_nothing_wrong(here: Path) -> None:
    """It ignores what it does not know: a misspelled line of hardening hardens nothing."""
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run(
        [*words, *(str(here / unit.name) for unit in UNITS)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_the_tool
@pytest.mark.parametrize("name", EXPOSURE)
def test_a_service_is_as_confined_as_it_can_be(here: Path, name: str) -> None:
    """Who adds a right sees what it opens."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE[name]}", f"{name}.service"],
        cwd=here,
        env={"SYSTEMD_UNIT_PATH": str(here)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_service_is_watched_and_comes_back(unit: Path) -> None:
    """The programs speak to systemd: it must listen."""
    service = settings(unit)
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert int(service["WatchdogSec"]) >= 30
    assert service["ExecStart"] == f"/opt/testfabric/bin/{unit.stem.replace('test', '')}"


def test_a_restart_of_the_agent_kills_no_step() -> None:
    """Systemd would else end the whole cgroup of the service with its main process."""
    service = settings(FOLDER / "testfabric-agent.service")
    assert service["KillMode"] == "process"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["Delegate"] == "yes"
    assert service["TasksMax"] == "infinity"


def test_the_unit_of_the_agent_takes_nothing_from_a_step() -> None:
    """Steps of other users pass through its directory; any filter of calls kills programs of 32 bits."""
    service = settings(FOLDER / "testfabric-agent.service")
    assert int(service["StateDirectoryMode"], 8) == 0o711
    assert service["User"] == "root", "HOME of a step would not be set"
    assert not [name for name in service if name.startswith(("SystemCall", "Restrict", "Protect", "Private"))]

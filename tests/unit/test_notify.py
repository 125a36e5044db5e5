"""What a service manager is told, over a real socket."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric.notify import STATUS_NS, Notifier, is_kept

MS = 1_000_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify") if request.param == "path" else f"\0testfabric-{os.getpid()}")
        sock.setblocking(False)
        yield sock


def address(manager: socket.socket) -> str:
    name = manager.getsockname()
    return name if isinstance(name, str) else "@" + name[1:].decode()


def heard(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


def test_a_turn_says_that_the_service_is_ready_once(manager: socket.socket) -> None:
    """Nothing is said before: units that need this one wait for it."""
    notifier = Notifier(address(manager))
    assert heard(manager) == []
    notifier.turned(5)
    notifier.turned(6)
    assert heard(manager) == ["READY=1"]


def test_signs_of_life_come_twice_in_each_interval_and_from_turns_only(manager: socket.socket) -> None:
    """A loop that stands still is silent: that is what the watchdog is for."""
    notifier = Notifier(address(manager), watchdog_us=100_000)
    notifier.turned(0)
    assert heard(manager) == ["READY=1", "WATCHDOG=1"]
    notifier.turned(50 * MS - 1)
    assert heard(manager) == []
    notifier.turned(50 * MS)
    notifier.turned(51 * MS)
    assert heard(manager) == ["WATCHDOG=1"]


def test_what_the_service_does_is_told_when_it_changes(manager: socket.socket) -> None:
    """`systemctl status` shows it; a line of a peer's choosing cannot end the state that it is in."""
    says = ["joins\nREADY=0"]
    notifier = Notifier(address(manager), status=lambda: says[0])
    notifier.turned(0)
    notifier.turned(STATUS_NS)
    says[0] = "up"
    notifier.turned(STATUS_NS + 1)
    assert heard(manager) == ["READY=1", "STATUS=joins READY=0"]
    notifier.turned(2 * STATUS_NS)
    notifier.stopping()
    assert heard(manager) == ["STATUS=up", "STOPPING=1"]


def test_a_manager_that_takes_nothing_holds_nobody_up(manager: socket.socket) -> None:
    """Its queue may be full; what it did not take is said again in a later turn."""
    notifier = Notifier(address(manager), watchdog_us=2)
    for now_ns in range(0, 3_000_000, 1000):
        notifier.turned(now_ns)
    assert heard(manager)[0] == "READY=1"
    notifier.turned(3_000_000)
    assert heard(manager) == ["WATCHDOG=1"]


def test_ready_is_said_again_until_it_is_taken(tmp_path: Path) -> None:
    """A manager that restarts itself is away for a moment."""
    notifier = Notifier(str(tmp_path / "late"))
    notifier.turned(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.bind(str(tmp_path / "late"))
        late.setblocking(False)
        notifier.turned(1)
        assert heard(late) == ["READY=1"]


def test_the_variables_are_read_once_and_taken_away(manager: socket.socket) -> None:
    """A step of a trial would else speak for its agent."""
    env = {"NOTIFY_SOCKET": address(manager), "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())}
    before = dict(env)
    env |= {"INVOCATION_ID": "1", "JOURNAL_STREAM": "9:1", "STATE_DIRECTORY": "/var/lib/x", "LANG": "C"}
    notifier = Notifier.find(lambda: "", env)
    assert env == {"LANG": "C"}, "nor be taken for it by where it keeps its files"
    assert notifier is not None
    assert notifier.handed_on == before, "an agent that becomes another version goes on to speak"
    notifier.turned(0)
    assert heard(manager) == ["READY=1", "WATCHDOG=1"]
    assert Notifier.find(lambda: "", env) is None


def test_a_watchdog_that_is_meant_for_another_process_is_none(manager: socket.socket) -> None:
    """The variables are inherited by whatever a service starts."""
    env = {"NOTIFY_SOCKET": address(manager), "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}
    notifier = Notifier.find(lambda: "", env)
    assert notifier is not None
    notifier.turned(0)
    assert heard(manager) == ["READY=1"]


def test_a_stream_of_the_journal_is_known(tmp_path: Path) -> None:
    """What a broker prints for one person is read there by many; a variable alone is inherited by anybody."""
    with (tmp_path / "stream").open("w") as file:
        status = os.fstat(file.fileno())
        env = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_kept(file.fileno(), env)
        assert not is_kept(file.fileno(), {})
        assert not is_kept(0, env)
        fd = file.fileno()
    assert not is_kept(fd, env)


def test_an_abort_says_where_the_process_stood() -> None:
    """A watchdog ends what hangs: without that line nobody would know where."""
    program = "import os, fabric.notify as it\nit.tell_where_it_hangs()\ndef hang(): os.abort()\nhang()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGABRT
    assert "in hang" in done.stderr

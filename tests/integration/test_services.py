"""Broker and agent as services: from their settings files, watched by a service manager."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agents.doctor import look_at_node
from broker.doctor import look_at_broker
from fabric.config import parse_url
from fabric.doctor.findings import Finding
from fabric.doctor.lab import look_at_lab
from fabric.doctor.reaching import PORTS
from fabric.loop import MAX_WAIT_MS

BOUND_S = 30.0
"""Only a failing test waits so long."""

WATCHDOG_US = 100_000
"""Less than a turn may take, so that each has something to say."""

SILENT_S = MAX_WAIT_MS / 1000 * 1.3
"""A loop that turns has said something in this time: a turn takes no longer, and it says so in each."""


class Manager:
    """What systemd is towards its services."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sockets: dict[str, socket.socket] = {}
        self.services: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        """Start a module with its settings file."""
        sock = self.sockets[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(self.folder / f"{name}.sock"))
        plain = {key: value for key, value in os.environ.items() if not key.startswith("FABRIC_")}
        env = plain | {
            "NOTIFY_SOCKET": str(self.folder / f"{name}.sock"),
            "WATCHDOG_USEC": str(WATCHDOG_US),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }
        process = self.services[name] = subprocess.Popen(
            [sys.executable, "-m", name, "--config", str(self.folder / f"{name}.toml"), *words],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process

    def hear(self, name: str, wanted: str) -> None:
        """Wait until a service says this."""
        sock = self.sockets[name]
        sock.settimeout(BOUND_S)
        while not sock.recv(4096).decode().startswith(wanted):
            pass

    def drain(self, name: str) -> None:
        """Take what was said: the kernel keeps few words for who does not listen."""
        self.sockets[name].setblocking(False)
        with suppress(BlockingIOError):
            while self.sockets[name].recv(4096):
                pass

    def is_silent(self, name: str) -> bool:
        """Say whether it has said nothing for so long that its loop cannot turn."""
        self.drain(name)
        self.sockets[name].settimeout(SILENT_S)
        try:
            self.sockets[name].recv(4096)
        except TimeoutError:
            return True
        return False

    def stop(self, name: str) -> None:
        """End a service as systemd does, and see that it says so and goes."""
        process = self.services.pop(name)
        self.drain(name)
        process.send_signal(signal.SIGTERM)
        self.hear(name, "STOPPING=1")
        said, _ = process.communicate(timeout=BOUND_S)
        assert process.returncode == 0, said

    def close(self) -> None:
        for process in self.services.values():
            process.kill()
            process.communicate()
        for sock in self.sockets.values():
            sock.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


def events(file: Path) -> list[str]:
    return [json.loads(line)["event"] for line in file.read_text().splitlines()]


def troubles(findings: Iterable[Finding]) -> list[str]:
    """Return what is bad, as the doctor names it."""
    return [one.about for one in findings if one.state == "bad"]


def test_services_live_by_their_files_and_show_that_they_live(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are started by nobody and looked at by nobody: what they say of themselves has to be true."""
    (tmp_path / "broker.toml").write_text(
        '[broker]\nlisten = "tcp://127.0.0.1:0"\nstate_dir = "broker"\n'
        'log = "json"\nlog_file = "broker.log"\n'
    )
    broker = manager.start("broker")
    assert broker.stdout is not None
    line = broker.stdout.readline().split()
    assert line[:1] + line[2:3] == ["fabric-agent", "--join"]
    manager.hear("broker", "READY=1")
    manager.hear("broker", f"STATUS=serves at {line[1]}")
    manager.hear("broker", "WATCHDOG=1")

    (tmp_path / "agents.toml").write_text(
        f'[agent]\nbroker = "{line[1]}"\nname = "lab1"\nstate_dir = "agent"\n'
        'log = "json"\nlog_file = "agent.log"\n'
    )
    agent = manager.start("agents", "--join", line[3])
    manager.hear("agents", "READY=1")
    manager.hear("agents", f"STATUS=connected to the broker at {line[1]}")

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    address = parse_url(line[1])
    assert troubles(look_at_broker(tmp_path / "broker", address)) == []
    assert troubles(look_at_node(tmp_path / "agent", address)) == []
    assert troubles(look_at_lab(line[1])) == []

    agent.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, agent.pid, os.WSTOPPED | os.WNOWAIT)
    assert manager.is_silent("agents")
    agent.send_signal(signal.SIGCONT)
    manager.hear("agents", "WATCHDOG=1")

    manager.stop("agents")
    assert troubles(look_at_lab(None)) == ["node lab1"]
    (tmp_path / "agent" / "agent.json").chmod(0o644)
    assert troubles(look_at_node(tmp_path / "agent", address)) == ["key"]
    manager.stop("broker")
    assert troubles(look_at_lab(line[1])) == [f"port {port}" for port in PORTS]
    assert "broker_joined" in events(tmp_path / "agent.log")
    assert "broker_serves" in events(tmp_path / "broker.log")

"""Peers of another version of the protocol are refused with a sentence, and harm nobody."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric import __version__
from fabric.protocol.limits import PROTOCOL_VERSION

OTHER = """
import sys
import fabric.protocol.limits as limits
limits.PROTOCOL_VERSION += 1
from {module} import main
main(sys.argv[1:])
"""
THEIRS = f"speaks protocol {PROTOCOL_VERSION + 1}"
OURS = f"the broker protocol {PROTOCOL_VERSION} (testfabric {__version__})"


class Broker:
    """A broker that can be started again, also as another version."""

    def __init__(self, home: dict[str, str]) -> None:
        self._home = home
        self._url = "tcp://127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None

    def start(self, version: str = "this") -> list[str]:
        """Start it; return the words that follow ``fabric-agent`` on the line that it prints."""
        program = [str(Path(sys.executable).with_name("fabric-broker"))]
        if version == "other":
            program = [sys.executable, "-c", OTHER.format(module="broker.cli")]
        self._process = subprocess.Popen(
            [*program, "--listen", self._url],
            env=self._home,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().split()
        assert line[0] == "fabric-agent"
        self._url = line[1]
        return line[1:]

    def stop(self) -> None:
        """End it."""
        assert self._process is not None
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def broker(home: dict[str, str]) -> Iterator[Broker]:
    """A broker that the test starts."""
    made = Broker(home)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def join(broker: Broker) -> list[str]:
    """The words that follow ``fabric-agent`` on the line that a broker has printed."""
    return broker.start()


def as_other_version(module: str, home: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", OTHER.format(module=module), *words],
        env=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_agent_of_another_version_says_so_and_waits_for_the_upgrade(
    broker: Broker, home: dict[str, str]
) -> None:
    """Whoever upgrades half a lab must read why nothing joins, and need not walk around again."""
    words = [sys.executable, "-c", OTHER.format(module="agents.cli"), *broker.start(), "--name", "other"]
    with subprocess.Popen(words, env=home, stderr=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stderr is not None
            said = ""
            while "broker_refused" not in said:
                said = agent.stderr.readline()
                assert said, "the agent has ended"
            assert f"who wants to join {THEIRS}, {OURS}" in said
            assert "upgrade testfabric where the broker runs" in said
            broker.stop()
            broker.start("other")
            while "broker_joined" not in said:
                said = agent.stderr.readline()
                assert said, "the agent has ended"
                assert "broker_refused" not in said, "one line is enough"
        finally:
            agent.terminate()
            agent.stderr.read()


def test_a_command_of_another_version_ends_with_the_sentence(join: list[str], home: dict[str, str]) -> None:
    """The same for the controller's side."""
    done = as_other_version("fabric.cli.nodes", home, "--broker", join[0])
    assert done.returncode == 3
    assert (
        f"the command {THEIRS} (testfabric {__version__}), {OURS}; upgrade testfabric where the broker runs"
        in done.stderr
    )
    again = subprocess.run(
        [str(Path(sys.executable).with_name("fabric")), "nodes", "--broker", join[0]],
        env=home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 0, "the broker goes on with peers of its own version"


def test_an_agent_whose_state_directory_is_relative_runs_steps(
    join: list[str], home: dict[str, str], tmp_path: Path
) -> None:
    """Steps work in a scratch directory below it, and that has to be found from anywhere."""
    trial = tmp_path / "t.toml"
    trial.write_text('[trial]\nname = "t"\n[nodes]\na = "here"\n[run]\na = "pwd"\n')
    programs = Path(sys.executable).parent
    words = [str(programs / "fabric-agent"), *join, "--name", "here", "--state-dir", "relative/state"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=home, stderr=subprocess.PIPE, text=True
    ) as agent:  # fmt: skip
        try:
            assert agent.stderr is not None
            while "broker_joined" not in agent.stderr.readline():
                pass
            done = subprocess.run(
                [str(programs / "fabric-run"), "-o", str(tmp_path / "runs"), str(trial)],
                env=home, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        finally:
            agent.terminate()
            agent.stderr.read()
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(tmp_path / "relative" / "state") in done.stdout

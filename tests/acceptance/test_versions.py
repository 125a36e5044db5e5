"""Peers of another version of the protocol are refused with a sentence, and harm nobody."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OTHER = """
import sys
import fabric.protocol.limits as limits
limits.PROTOCOL_VERSION = 2
from {module} import main
main(sys.argv[1:])
"""
SENTENCE = "speaks protocol 2, this side 1"


@pytest.fixture
def join(home: dict[str, str]) -> Iterator[list[str]]:
    """Start a broker; give the words that follow ``fabric-agent`` on the line that it prints."""
    program = Path(sys.executable).with_name("fabric-broker")
    with subprocess.Popen(
        [str(program), "--listen", "tcp://127.0.0.1:0"],
        env=home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as broker:  # fmt: skip
        try:
            assert broker.stdout is not None
            line = broker.stdout.readline().split()
            assert line[0] == "fabric-agent"
            yield line[1:]
        finally:
            broker.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                broker.wait(20)
            broker.kill()


def as_other_version(module: str, home: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", OTHER.format(module=module), *words],
        env=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_agent_of_another_version_ends_with_the_sentence(join: list[str], home: dict[str, str]) -> None:
    """Whoever upgrades half a lab must read why nothing joins."""
    done = as_other_version("agents.cli", home, *join, "--name", "other")
    assert done.returncode == 3
    assert SENTENCE in done.stderr.splitlines()[-1]
    assert "same version" in done.stderr


def test_a_command_of_another_version_ends_with_the_sentence(join: list[str], home: dict[str, str]) -> None:
    """The same for the controller's side."""
    done = as_other_version("fabric.cli.nodes", home, "--broker", join[0])
    assert done.returncode == 3
    assert SENTENCE in done.stderr
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

"""A node whose disk is full: nothing hangs, nothing is lost that could be kept, and a person is told."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.faults.lab import Agent, FabricRun, Lab
from tests.integration.faults.processes import until
from tests.integration.output.printing import MIB, check_numbered, log_bytes, numbered, out

PATIENCE_S: Final = 2.0

PRINT_FOR_EVER: Final = "while True: print('x' * 99)"


class SmallDisk:
    """A file system of 8 MiB, and what else lies on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._other = path / "other"

    def fill(self) -> None:
        """Take all that is left."""
        with self._other.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass

    def empty(self) -> None:
        """Give it back."""
        self._other.unlink()

    def is_full(self) -> bool:
        """Whether no page is left."""
        return os.statvfs(self.path).f_bavail == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk for the agent's state directory."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    mounted = subprocess.run(words, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def lab(tmp_path: Path, disk: SmallDisk) -> Iterator[Lab]:
    """A broker, and the agent of lab1 on the small disk."""
    made = Lab(tmp_path)
    try:
        made.start_broker()
        agent = made.agents["lab1"] = Agent(made, "lab1")
        agent.state = disk.path / "agent"
        agent.options = ("--disk-patience", PATIENCE_S)
        made.start_agents("lab1")
        yield made
    finally:
        made.close()
        shutil.rmtree(tmp_path, ignore_errors=True)


def notices(run: FabricRun) -> list[str]:
    """Return what the node has said about itself."""
    lines = (run.bundle / "events.jsonl").read_text().splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [event["message"] for event in events if event["type"] == "notice" and event.get("node")]


def test_output_waits_on_a_full_disk_until_the_broker_is_back(lab: Lab, disk: SmallDisk) -> None:
    """It took the last page, and there was none for the record that would have let it be shipped."""
    assert lab.broker is not None
    run = lab.run(numbered(lab, 400_000).trial, "--quiet")
    until(lambda: log_bytes(lab) > MIB, run.end_of_said)
    lab.broker.send_signal(signal.SIGSTOP)
    until(lambda: "is full" in lab.log("lab1"), lambda: lab.log("lab1"))
    lab.broker.send_signal(signal.SIGCONT)
    assert run.wait() == 0, run.end_of_said()
    check_numbered(out(run), 400_000)
    told = [said for said in notices(run) if "disk of lab1" in said]
    assert told[0] == f"the disk of lab1 is full ({disk.path}/agent): output waits"
    assert told[-1] == "the disk of lab1 has room again"


def test_a_disk_that_stays_full_ends_the_run_as_an_error(lab: Lab, disk: SmallDisk) -> None:
    """Of other things, so nobody but a person makes room.  The reset is done, without its output."""
    reset = lab.directory / "reset"
    program = f"import pathlib\nprint('y' * 100_000)\npathlib.Path({str(reset)!r}).touch()"
    trial = f"""
[trial]
name = "full"
[nodes]
only = "lab1"
[run]
only = {{ cmd = {json.dumps([sys.executable, "-c", PRINT_FOR_EVER])} }}
[reset]
only = {{ cmd = {json.dumps([sys.executable, "-c", program])} }}
"""
    run = lab.run(trial, "--quiet")
    until(lambda: log_bytes(lab) > MIB, run.end_of_said)

    def is_over() -> bool:
        disk.fill()
        return run.process.poll() is not None

    until(is_over, run.end_of_said)
    assert run.wait() == 3, run.end_of_said()
    (why, *_) = run.result["why"]
    assert f"the disk of lab1 is full ({disk.path}/agent) for 2 s: its output could not be kept" in why
    assert reset.exists()
    run.check_bundle()
    disk.empty()


def test_a_node_without_room_takes_no_part(lab: Lab, disk: SmallDisk) -> None:
    """It says so at once; with room it is as good as before."""
    trial = numbered(lab, 10).trial
    disk.fill()
    run = lab.run(trial, "--quiet")
    assert run.wait() == 3, run.end_of_said()
    assert "lab1 cannot take part" in run.result["why"][0]
    assert "No space left on device" in run.result["why"][0]
    disk.empty()
    lab.wait_free("lab1")
    run = lab.run(trial, "--quiet")
    assert run.wait() == 0, run.end_of_said()


def test_a_put_that_meets_a_full_disk_is_an_error_of_the_lab(lab: Lab, disk: SmallDisk) -> None:
    """What is tested has not failed.  The sentence names the disk; another attempt with room goes well."""
    big = lab.directory / "big"
    with big.open("wb") as file:
        file.truncate(10 * MIB)
    trial = """
[trial]
name = "put"
[nodes]
only = "lab1"
[run]
only = { put = "big" }
"""
    run = lab.run(trial, "--quiet")
    assert run.wait() == 3, run.end_of_said()
    (why, *_) = run.result["why"]
    scratch = disk.path / "agent" / "scratch" / run.run
    assert f"the disk of lab1 is full ({scratch}): {scratch}/big could not be stored" in why
    with big.open("wb") as file:
        file.truncate(2 * MIB)
    again = lab.run(trial, "--quiet")
    assert again.wait() == 0, again.end_of_said()


OWED: Final = """
[trial]
name = "owed"
[nodes]
only = "lab1"
[run]
only = "echo begun; sleep 600"
[reset]
only = "touch {place}"
"""


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_reset_that_is_owed_is_done_though_the_disk_is_full(
    lab: Lab, disk: SmallDisk, is_kept: bool
) -> None:
    """It may be what makes room.  If what is kept for it is gone, too, the agent says so and waits."""
    place, agent = lab.directory / "was-reset", lab.agents["lab1"]
    run = lab.run(OWED.format(place=place))
    until(lambda: "begun" in run.said(), run.said)
    if not is_kept:
        (agent.state / "reserve").unlink()
    agent.kill()
    until(lambda: not (agent.state / "launcher.sock").exists(), "the end of its launcher")
    disk.fill()
    agent.start()
    if not is_kept:
        until(lambda: "reset_waits" in lab.log("lab1"), lambda: lab.log("lab1"))
        assert f"{agent.state}: No space left on device" in lab.log("lab1")
        assert run.wait() == 3, run.end_of_said()
        assert not place.exists()
        disk.empty()
    until(place.exists, lambda: lab.log("lab1"))
    assert run.wait() == 3, run.end_of_said()
    agent.wait_joined()
    if is_kept:
        disk.empty()
    until((agent.state / "reserve").exists, "room for the next one")

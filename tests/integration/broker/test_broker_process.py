"""The command: what it prints, how it ends, what it refuses."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from fabric.keys import OperatorAccess
from fabric.protocol import messages as m
from tests.integration.broker.peers import BOUND_S, Lab, Start


def test_the_first_line_starts_an_agent_and_the_user_gets_a_key(start_broker: Start, tmp_path: Path) -> None:
    """The line is for copying: nothing else is on stdout."""
    process = start_broker(
        "--listen", "tcp://127.0.0.1:0", "--state-dir", tmp_path / "s", XDG_CONFIG_HOME=str(tmp_path / "c")
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"fabric-agent (tcp://127\.0\.0\.1:\d+) --join (fj1\S+)\n", line)
    assert match
    process.terminate()
    rest, _ = process.communicate(timeout=BOUND_S)
    assert (rest, process.returncode) == ("", 0)
    (path,) = (tmp_path / "c" / "testfabric").iterdir()
    access = OperatorAccess.load(path)
    assert access is not None
    assert access.url == match[1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_broker_on_the_same_directory_or_port_is_refused_in_a_sentence(
    lab: Lab, start_broker: Start, tmp_path: Path
) -> None:
    """Two brokers on one log would ruin it."""
    state = tmp_path / "state"
    second = start_broker("--listen", "tcp://127.0.0.1:0", "--state-dir", state)
    _, errors = second.communicate(timeout=BOUND_S)
    assert second.returncode == 3
    assert f"{state}: in use by another broker" in errors
    third = start_broker("--listen", lab.broker.listen, "--state-dir", tmp_path / "other")
    _, errors = third.communicate(timeout=BOUND_S)
    assert third.returncode == 3
    assert re.search(r"error: port \d+ \(for control\) is in use on this machine", errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_with_peers_connected(lab: Lab, number: int) -> None:
    """A restart for an upgrade is short, and what was taken is on the disk."""
    node = lab.agent("lab1")
    lab.running(node)
    node.ship(1, b"last")
    node.expect(m.Acknowledged)
    begun = time.monotonic()
    assert lab.broker.end(number) == 0
    assert time.monotonic() - begun < 3.0  # 0.3 s here, but the disk may be busy with other things


def test_a_private_broker_ends_with_its_lifeline_and_leaves_nothing(
    start_broker: Start, tmp_path: Path
) -> None:
    """However `fabric-run --local` dies, its broker goes with it."""
    read, write = os.pipe()
    process = start_broker(
        *("--listen", "tcp://127.0.0.1:0", "--ephemeral", "--state-dir", tmp_path / "state"),
        *("--operator-file", tmp_path / "operator", "--lifeline-fd", str(read)),
        fds=(read,),
    )
    os.close(read)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fabric-agent ")
    os.close(write)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 0
    assert not (tmp_path / "state").exists()


def test_a_directory_that_was_not_named_is_not_removed(start_broker: Start) -> None:
    """The option is for private brokers; the user's own state must not go with it."""
    process = start_broker("--ephemeral")
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 2
    assert "has to be named: --state-dir" in errors


def test_keys_and_token_stay_over_a_restart_and_the_epoch_grows(lab: Lab) -> None:
    """Agents go on with what they have; only the clock has a new life."""
    node = lab.agent("lab1")
    token, operator = lab.broker.token, lab.broker.operator
    assert lab.broker.end(signal.SIGTERM) == 0
    lab.broker.start()
    assert (lab.broker.token, lab.broker.operator) == (token, operator)
    node.close()
    assert node.meet().epoch == 2

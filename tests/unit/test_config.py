"""Addresses and directories."""

from pathlib import Path

import pytest

from fabric import config
from fabric.config import Address, advertised_host, parse_listen_url, parse_url
from fabric.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://lab0:7500", Address("lab0", 7500)),
        ("tcp://lab0", Address("lab0", 7400)),
        ("tcp://10.1.0.5:65532/", Address("10.1.0.5", 65532)),
        ("tcp://[fe80::1%eth0]:7400", Address("fe80::1%eth0", 7400)),
        ("tcp://[::1]", Address("::1", 7400)),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address) -> None:
    """What is parsed is printed again, for people to copy and for ZeroMQ to connect to."""
    assert parse_url(text) == address
    assert parse_url(str(address)) == address


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("lab0:7400", "not an address", "did you mean tcp://lab0:7400"),
        ("tcp://::1:7400", "not an address", "in brackets"),
        ("ipc:///tmp/x", "not an address", "only tcp://"),
        ("tcp://lab0:x", "not an address", ""),
        ("tcp://", "not an address", ""),
        ("tcp://lab0:65533", "needs the ports 65533 to 65536", "up to 65532"),
        ("tcp://0.0.0.0:7400", "where to listen", "name the broker's machine"),
        ("tcp://[::]:7400", "where to listen", ""),
        ("tcp://lab0:0", "port 0", "7400"),
    ],
)
def test_a_wrong_address_is_told_the_way_out(text: str, sentence: str, hint: str) -> None:
    """It is the first thing that a new user types."""
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_url(text)
    assert hint in caught.value.hint


def test_a_listener_may_take_all_interfaces_and_free_ports() -> None:
    """`--local` listens on port 0, a lab's broker on every interface."""
    assert parse_listen_url("tcp://127.0.0.1:0").port == 0
    assert parse_listen_url("tcp://*:7400") == Address("0.0.0.0", 7400)


def test_what_is_advertised_can_be_connected_to() -> None:
    """The printed line is pasted on other machines, where 0.0.0.0 would mean themselves."""
    assert advertised_host("lab0") == "lab0"
    assert advertised_host("0.0.0.0") not in {"0.0.0.0", ""}


def test_directories_follow_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users move them by the variables that every tool knows; a relative one counts as not set."""
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert config.state_dir("broker") == Path("/state/testfabric/broker")
    assert config.config_dir() == Path("/home/ann/.config/testfabric")

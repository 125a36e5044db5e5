"""What may be the address of a machine: a word of other nodes' commands, and a part of their paths."""

import pytest

from fabric.protocol.names import is_address


@pytest.mark.parametrize(
    "text", ["lab1", "node-1.lab.example.", "10.1.0.5", "fd00::5", "::1", "fe80::1%eth0", "_dmz", "a" * 253]
)
def test_hosts_and_addresses_are(text: str) -> None:
    """Whatever a resolver or a socket takes."""
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-exec", "../../escaped", "..", "a..b", "/etc", "a b", "a;b", "$(id)", "a\n", "`id`", "a*"),
        *("é", "fe80::1%../x/", "a" * 254),
    ],
)
def test_what_a_shell_or_a_path_would_read_otherwise_is_not(text: str) -> None:
    """A node could make others execute and write what it likes."""
    assert not is_address(text)

"""A private fabric that does not come up: said as its broker says it."""

import sys
from pathlib import Path

import pytest

from fabric.controller.local import AT_ONCE, LocalFabric
from fabric.errors import FabricError

BROKEN = """\
#!/bin/sh
echo "$2" >> '{started}'
test "$2" = broker || exit 0
echo 'error: self-test: nobody is let in' >&2
echo 'hint: is there a firewall?' >&2
exit 3
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a broker that ends with an error; return where each start is noted."""
    program, noted = tmp_path / "python", tmp_path / "started"
    program.write_text(BROKEN.format(started=noted))
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    return noted


@pytest.mark.usefixtures("started")
def test_the_error_of_the_broker_is_told_with_its_hint() -> None:
    """Its last line is the hint, which says nothing without the error above it."""
    with LocalFabric() as fabric, pytest.raises(FabricError) as caught:
        fabric.start({"lab1": ()})
    assert str(caught.value) == "the local broker did not come up: self-test: nobody is let in"
    assert caught.value.hint == "is there a firewall?"


def test_many_agents_do_not_take_the_processor_from_the_broker(started: Path) -> None:
    """A hundred that load their modules at once kept it from passing its self-test in time."""
    with LocalFabric() as fabric, pytest.raises(FabricError):
        fabric.start({f"lab{number}": () for number in range(AT_ONCE + 1)})
    assert started.read_text().splitlines() == ["broker"]

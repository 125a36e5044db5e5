"""How long a launcher leaves the processors to who was released."""

import os

import pytest

from agents.launcher.rest import LEAST_NS, MOST_NS, Crowd, first_ns


def test_the_rest_grows_with_the_crowd() -> None:
    """With many launchers, one that looks up after 2 ms takes its processor from programs released before."""
    assert first_ns(running=1, cpus=2) == LEAST_NS
    assert first_ns(running=8, cpus=2) == LEAST_NS
    assert LEAST_NS < first_ns(running=16, cpus=2) < first_ns(running=24, cpus=2)
    assert first_ns(running=64, cpus=64) == LEAST_NS
    assert first_ns(running=10_000, cpus=2) == MOST_NS // 2


def test_who_asks_is_running() -> None:
    """The figure is the kernel's, not a guess."""
    crowd = Crowd()
    assert 1 <= crowd.running() < 100_000
    assert crowd.cpus == os.cpu_count()


def test_a_machine_that_does_not_say_is_not_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without /proc/loadavg must not end the launcher at its first release."""

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    assert Crowd().running() == 1

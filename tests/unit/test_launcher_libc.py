"""Calls of the C library whose refusal the launcher has to live with."""

import pytest

from agents.launcher import libc


def test_a_launcher_that_may_not_grow_does_not_lock_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a limit of 16 MiB it could be locked, and would get no more memory for its hundredth step."""
    undone: list[bool] = []
    monkeypatch.setattr(libc, "_mlockall", lambda _: 0)
    monkeypatch.setattr(libc, "_munlockall", lambda: undone.append(True))
    assert libc.lock_memory()
    assert not undone
    monkeypatch.setattr(libc, "LOCK_ROOM_BYTES", 1 << 60)
    assert not libc.lock_memory()
    assert undone

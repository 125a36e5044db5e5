"""Directories with keys and output are their user's alone, and who finds one that is not says what to do."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

import fabric.private
from agents.journal import Journal
from agents.owed import Owed
from agents.state import AgentState
from fabric.errors import FabricError
from fabric.keys import find_operator_access
from fabric.private import check_state, close_state, make_private
from fabric.secretfile import read_private

ANYBODY = 65534


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something be another user's, for root; or be another user."""
    if os.geteuid() == 0:
        os.chown(path, ANYBODY, -1)
    else:
        monkeypatch.setattr(fabric.private.os, "geteuid", lambda: ANYBODY)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o755, 0o750, 0o701, 0o711])
def test_an_empty_directory_is_closed_and_one_with_something_in_it_refused(tmp_path: Path, mode: int) -> None:
    """A new mount has mode 1777, a mkdir 0755; but who had access may have read a key, or put one there."""
    place = tmp_path / "state"
    place.mkdir()
    place.chmod(mode)
    close_state(place)
    assert place.stat().st_mode & 0o777 == 0o700
    (place / "agent.json").touch(mode=0o600)
    place.chmod(mode)
    with pytest.raises(FabricError, match=rf"access to {place} \(mode {mode:04o}\)") as caught:
        close_state(place)
    assert f"chmod 700 {place}" in caught.value.hint


@pytest.mark.parametrize(("mode", "is_good"), [(0o700, True), (0o711, True), (0o751, False), (0o722, False)])
def test_others_may_pass_through_the_state_of_an_agent(tmp_path: Path, mode: int, is_good: bool) -> None:
    """To the directory in which a step of theirs works; nothing more."""
    place = tmp_path / "state"
    before = os.umask(0)
    try:
        state = AgentState.lock(place)
        Journal.create(place, "20260301-102207-ping-k3f9", 1).close()
        Owed(place, lambda _: None).keep_room()
    finally:
        os.umask(before)
    os.close(state.lock_fd)
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in place.iterdir()}
    assert modes == {(False, 0o600), (True, 0o700)}
    place.chmod(mode)
    if is_good:
        os.close(AgentState.lock(place).lock_fd)
    else:
        with pytest.raises(FabricError, match="others than its owner") as caught:
            AgentState.lock(place)
        assert f"chmod go-rw {place}" in caught.value.hint


def test_what_another_user_has_put_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """He could have an agent of root execute the steps of a journal that he has written."""
    place = tmp_path / "state"
    (place / "journals").mkdir(parents=True)
    place.chmod(0o700)
    give_away(place / "journals", monkeypatch)
    with pytest.raises(FabricError, match="belongs to") as caught:
        close_state(place)
    assert "chown -R" in caught.value.hint


def test_what_others_may_write_is_refused(tmp_path: Path) -> None:
    """Who may pass through gets there; where nobody may, it is no matter."""
    tmp_path.chmod(0o700)
    (tmp_path / "journals").mkdir()
    (tmp_path / "journals").chmod(0o757)
    close_state(tmp_path)
    with pytest.raises(FabricError, match=r"may write .*journals \(mode 0757\)") as caught:
        close_state(tmp_path, may_pass=True)
    assert f"chmod go-w {tmp_path / 'journals'}" in caught.value.hint


def inner(place: Path, *names: str) -> Path:
    """Return a directory below ``journals`` of a state directory through which others may pass."""
    path = place.joinpath("journals", *names)
    make_private(path)
    place.chmod(0o711)
    return path


def test_what_earlier_versions_left_open_is_closed(tmp_path: Path) -> None:
    """They made it below what others may pass through; a person would have to do it on each node."""
    place = tmp_path / "state"
    journals = inner(place, "run").parent
    journals.chmod(0o755)
    with pytest.raises(FabricError, match=rf"access to {journals} \(mode 0755\)"):
        check_state(place, may_pass=True, inner=("journals",))
    close_state(place, may_pass=True, inner=("journals",))
    assert journals.stat().st_mode & 0o777 == 0o700
    journals.chmod(0o777)
    with pytest.raises(FabricError, match=rf"access to {journals} \(mode 0777\)"):
        close_state(place, may_pass=True, inner=("journals",))


@pytest.mark.parametrize("names", [("run",), ("run", "5")])
def test_journals_that_another_user_has_put_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    """A copy that keeps owners is enough, and an agent of root would do what they say."""
    path = inner(tmp_path / "state", *names)
    close_state(tmp_path / "state", may_pass=True, inner=("journals",))
    give_away(path, monkeypatch)
    with pytest.raises(FabricError, match="belongs to"):
        close_state(tmp_path / "state", may_pass=True, inner=("journals",))


@pytest.mark.parametrize("names", [(), ("run",)])
@pytest.mark.parametrize(
    ("mode", "sentence"), [(0o1777, "have access to"), (0o755, "have access to"), (0o700, "")]
)
def test_links_that_lead_to_what_others_get_at_are_refused(
    tmp_path: Path, names: tuple[str, ...], mode: int, sentence: str
) -> None:
    """A larger disk may be elsewhere, but not where others can put a journal, or read one."""
    place, target = tmp_path / "state", tmp_path / "disk"
    target.mkdir()
    target.chmod(mode)
    path = inner(place, *names)
    path.rmdir()
    path.symlink_to(target)
    place.chmod(0o700)
    with pytest.raises(FabricError, match=sentence) if sentence else nullcontext():
        close_state(place, inner=("journals",))
    assert target.stat().st_mode & 0o7777 == mode
    target.rmdir()
    with pytest.raises(FabricError, match=f"leads to {target}, which is not there"):
        close_state(place, inner=("journals",))


def test_a_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would lead to a broker of his choice."""
    key = tmp_path / "operator.json"
    key.touch(mode=0o600)
    give_away(key, monkeypatch)
    with pytest.raises(FabricError, match=f"{key} belongs to"):
        read_private(key)


def test_keys_in_a_directory_that_others_may_write_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could take them away, or see whose there are."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    place = tmp_path / "testfabric"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(FabricError, match=rf"access to {place} \(mode 0777\)"):
        find_operator_access("tcp://127.0.0.1:7400")

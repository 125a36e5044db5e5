"""What a line of a phase means in Conductor's files: every cell of the table of prefixes."""

import pytest

from fabric.trial.importers.conductor_ini import Entry
from fabric.trial.importers.conductor_steps import PHASES, ConductorStep, read_step
from fabric.trial.importers.notes import Notes

ALL = tuple(PHASES)
OTHERS = ("Startup", "Collect", "Reset")


def step(section: str, key: str, value: str) -> tuple[ConductorStep | None, list[str]]:
    notes = Notes()
    notes.add_file("w.cfg", f"{key} = {value}")
    found = read_step(section, Entry(key, "w.cfg", 1, [value]), value, notes)
    return found, [one.code for one in notes.found]


def meaning(section: str, key: str, value: str) -> tuple[bool, int, str, list[str]]:
    found, codes = step(section, key, value)
    assert found is not None
    assert found.phase == section.lower()
    return found.is_spawn, found.timeout_s, found.command, codes


@pytest.mark.parametrize("section", ALL)
@pytest.mark.parametrize("key", ["step1", "s", "respawn", "mytimeout5"])
def test_an_ordinary_line_has_thirty_seconds(section: str, key: str) -> None:
    """The key is thrown away but for its beginning."""
    assert meaning(section, key, "cmd: x") == (False, 30, "cmd: x", [])


@pytest.mark.parametrize("section", ["Startup", "Run"])
@pytest.mark.parametrize("key", ["spawn", "spawn1", "spawn_the_server"])
def test_a_key_that_begins_with_spawn_spawns(section: str, key: str) -> None:
    """As in Conductor, in the two phases where it heeds it."""
    assert meaning(section, key, "cmd") == (True, 30, "cmd", [])


def test_a_key_that_begins_with_spawn_is_ignored_in_collect() -> None:
    """What was meant is imported, and said."""
    assert meaning("Collect", "spawn1", "cmd") == (True, 30, "cmd", ["W104"])


@pytest.mark.parametrize(("key", "value"), [("spawn1", "cmd"), ("a", "spawn:cmd")])
def test_nothing_is_spawned_in_the_reset(key: str, value: str) -> None:
    """No phase follows that could end it."""
    found = meaning("Reset", key, value)
    assert found[:3] == (False, 30, "cmd")
    assert set(found[3]) == {"W104"}


def test_a_key_with_a_limit_is_heeded_in_run() -> None:
    """`timeoutN` limits the step to N seconds."""
    assert meaning("Run", "timeout120", "cmd") == (False, 120, "cmd", [])
    assert meaning("Run", "timeout5_b", "cmd") == (False, 5, "cmd", [])


@pytest.mark.parametrize("section", OTHERS)
def test_a_key_with_a_limit_is_ignored_elsewhere(section: str) -> None:
    """What was meant is imported, and said."""
    assert meaning(section, "timeout120", "cmd") == (False, 120, "cmd", ["W104"])


def test_prefixes_of_the_value_are_heeded_in_run() -> None:
    """The README shows them that way."""
    assert meaning("Run", "a", "spawn:iperf3 -s") == (True, 30, "iperf3 -s", [])
    assert meaning("Run", "a", "timeout10:ping x") == (False, 10, "ping x", [])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("spawn:cmd", (True, 30, "cmd")), ("timeout10:cmd", (False, 10, "cmd"))],
)
@pytest.mark.parametrize("section", ["Startup", "Collect"])
def test_prefixes_of_the_value_are_a_command_elsewhere(
    section: str, value: str, wanted: tuple[bool, int, str]
) -> None:
    """Conductor runs `spawn:cmd` as it stands, which fails with 127.  Nobody means that."""
    assert meaning(section, "a", value) == (*wanted, ["W104"])


def test_prefixes_that_are_not_exact_are_told() -> None:
    """`Spawn :` is a command to Conductor, also in Run."""
    assert meaning("Run", "a", "Spawn : cmd") == (True, 30, "cmd", ["W104"])
    assert meaning("Run", "a", "timeout 7: cmd") == (False, 7, "cmd", ["W104"])


def test_several_prefixes_are_all_heeded() -> None:
    """Key and value may both have one."""
    assert meaning("Run", "timeout5", "timeout9:cmd") == (False, 9, "cmd", ["W105"])
    assert meaning("Run", "spawn1", "timeout9:cmd") == (True, 9, "cmd", ["W105", "W105"])


@pytest.mark.parametrize(
    ("key", "limit_s"), [("timeout0", 1), ("timeout999999999999", 604_800), ("timeout", 30)]
)
def test_limits_that_cannot_be_kept_are_told(key: str, limit_s: int) -> None:
    """A trial has no limit of nothing, and none over seven days."""
    assert meaning("Run", key, "cmd") == (False, limit_s, "cmd", ["W105"])


@pytest.mark.parametrize("value", ["", "  ", "spawn:", "timeout5: "])
def test_a_line_without_a_command_is_left_out(value: str) -> None:
    """A trial has no empty command."""
    found, codes = step("Run", "a", value)
    assert found is None
    assert codes == ["W111"]


@pytest.mark.parametrize("command", ["killall iperf3", "sudo pkill -f x", "true; pkill x", "cd /; killall x"])
def test_a_kill_in_the_reset_may_find_nothing(command: str) -> None:
    """The fabric has ended what was spawned; `killall` would fail, and every node were dirty."""
    found, codes = step("Reset", "a", command)
    assert found is not None
    assert (found.finds_nothing, codes) == (True, ["W110"])
    assert step("Collect", "a", command)[1] == []
    assert step("Reset", "a", "echo killall")[1] == []

"""Where secrets come from, and that no message about them has one in it."""

from pathlib import Path

import pytest

from fabric.errors import UsageError
from fabric.vault import Vault

VALUE = "correct-horse"


def a_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """Make a file of secrets."""
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_goes_over_the_environment(tmp_path: Path) -> None:
    """Who names a file means it."""
    path = a_file(tmp_path, f'A = "{VALUE}"\n')
    vault = Vault.open(path, {"FABRIC_SECRET_A": "another", "FABRIC_SECRET_B": "battery-staple"})
    assert vault.values(["A", "B"]) == {"A": VALUE, "B": "battery-staple"}
    assert VALUE not in repr(vault)


def test_a_directory_has_a_file_for_each(tmp_path: Path) -> None:
    """As those that service managers give; the newline that editors add is no part of it."""
    tmp_path.chmod(0o700)
    (tmp_path / "A").write_text(VALUE + "\n")
    assert Vault.open(tmp_path, {}).values(["A"]) == {"A": VALUE}
    tmp_path.chmod(0o755)
    assert "others than its owner" in Vault.open(tmp_path, {}).why_not("A")
    (tmp_path / "A").chmod(0o600)
    assert Vault.open(tmp_path, {}).why_not("A") == ""


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """With the command that helps."""
    with pytest.raises(UsageError, match="mode 0640") as caught:
        Vault.open(a_file(tmp_path, 'A = "x"', 0o640), {})
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f'A = "{VALUE}\n', "is not TOML at line 1"),
        (f'A = "{VALUE}"\nA = "{VALUE}"', "is not TOML"),
        ("A = 12345678", "A needs a text in quotes"),
        (f'[A]\nB = "{VALUE}"', "A needs a text in quotes"),
    ],
)
def test_a_broken_file_is_told_without_what_is_in_it(tmp_path: Path, text: str, wanted: str) -> None:
    """Messages end up in logs of CI."""
    with pytest.raises(UsageError, match=wanted) as caught:
        Vault.open(a_file(tmp_path, text), {})
    assert VALUE not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, "there is no secret A"),
        ("short", "5 bytes"),
        ("x" * 20_000, "over the limit"),
        ("abc\0def", "NUL"),
    ],
)
def test_a_value_that_cannot_be_one_is_told(value: str | None, wanted: str) -> None:
    """At the check, not when a program is started on a node."""
    vault = Vault.open(None, {} if value is None else {"FABRIC_SECRET_A": value})
    assert wanted in vault.why_not("A")
    with pytest.raises(UsageError, match=wanted):
        vault.values(["A"])

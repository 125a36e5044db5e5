"""Every wrong file under trial_errors/ is refused with exactly the text beside it."""

import os
from pathlib import Path

import pytest

from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.trial.diagnostics import TrialError
from fabric.trial.load import load_trial

CORPUS = Path(__file__).parent / "trial_errors"
FILES = sorted(CORPUS.glob("*.toml"))


def refusal(path: Path) -> TrialError:
    with pytest.raises(TrialError) as raised:
        load_trial(path)
    return raised.value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_file_is_refused_with_all_its_errors(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is the interface: people repair by it, editors and CI parse its first line."""
    monkeypatch.chdir(CORPUS)
    error = refusal(Path(file.name))
    assert f"{error}\n" == file.with_suffix(".expected").read_text()
    assert error.exit_code == 2


def test_the_corpus_is_complete() -> None:
    """A pair that lost one of its halves would test nothing."""
    assert {file.stem for file in FILES} == {file.stem for file in CORPUS.glob("*.expected")}
    assert len(FILES) >= 100


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """The commonest error of all deserves no traceback."""
    assert str(refusal(tmp_path / "no.toml")) == f"{tmp_path}/no.toml: error[E001]: there is no such file"


def test_a_directory_is_no_trial(tmp_path: Path) -> None:
    """Completion in a shell often stops at the directory."""
    assert "error[E001]: this is a directory" in str(refusal(tmp_path))


def test_a_name_that_no_file_can_have_is_refused() -> None:
    """Python raises a ValueError here, not an OSError."""
    assert "error[E001]: cannot be read" in str(refusal(Path("a\0b")))


def test_a_file_is_read_up_to_the_limit_only(tmp_path: Path) -> None:
    """A message takes MAX_TEXT_BYTES of text."""
    file = tmp_path / "large.toml"
    file.write_bytes(b"#" * (MAX_TEXT_BYTES + 1))
    assert "error[E002]" in str(refusal(file))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe that nobody writes to would be waited for; a device has no end, and no lines to point to."""
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), Path("/dev/null")):
        assert "error[E001]: this is no regular file" in str(refusal(path))

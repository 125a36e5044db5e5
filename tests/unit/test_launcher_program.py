"""Whether a step can be started at all."""

from pathlib import Path

import pytest

from agents.launcher.program import CannotStartError, find


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """A directory with an executable `yes-run`, a plain file `no-run` and a directory `dir`."""
    for name, mode in (("yes-run", 0o755), ("no-run", 0o644)):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(mode)
    (tmp_path / "dir").mkdir()
    return tmp_path


def test_a_program_is_found_as_a_shell_would(bin_dir: Path) -> None:
    """By PATH of the step's environment, or by a path from the step's directory."""
    assert find(["yes-run"], {"PATH": f"/nowhere:{bin_dir}"}, "/") == f"{bin_dir}/yes-run"
    assert find(["yes-run"], {"PATH": "."}, str(bin_dir)) == "./yes-run"
    assert find(["./yes-run"], {}, str(bin_dir)) == "./yes-run"
    assert find([f"{bin_dir}/yes-run"], {}, "/") == f"{bin_dir}/yes-run"
    assert find(["sh"], {}, "/").endswith("/sh")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["unknown"], "'unknown' in the PATH"),
        (["no-run"], "is not executable"),
        (["dir"], "'dir' in the PATH"),
        (["./no-run"], "'./no-run' is not executable"),
        (["./unknown"], "'./unknown' does not exist"),
        (["yes-run", "a\0b"], "NUL"),
        ([], "empty"),
        ([""], "empty"),
    ],
)
def test_what_cannot_start_is_told_before_anything_starts(
    bin_dir: Path, argv: list[str], sentence: str
) -> None:
    """The prepare step refuses with this sentence, so it has to name what is wrong."""
    with pytest.raises(CannotStartError, match=sentence):
        find(argv, {"PATH": str(bin_dir)}, str(bin_dir))


@pytest.mark.parametrize("directory", ["/does/not/exist", "relative", "/bin/sh"])
def test_a_missing_directory_is_told(directory: str) -> None:
    """The launcher has a directory of its own: a relative one would mean something else."""
    with pytest.raises(CannotStartError, match="directory"):
        find(["sh"], {}, directory)


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_an_impossible_environment_is_told(name: str) -> None:
    """The exec would refuse it, or silently drop it."""
    with pytest.raises(CannotStartError, match="environment"):
        find(["sh"], {name: "x"}, "/")

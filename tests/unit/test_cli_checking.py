"""fabric-run --check and --explain: what a person does before a run."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fabric.cli.run import main

RIGHT = """
[trial]
name = "t"
repeat = 2
warmup = 1
[nodes]
a = "lab1"
[matrix]
n = [1, 2, 3]
[[run.a]]
cmd = "echo $n $typo"
metric.n.regex = '(1)'
[check]
n.max = 3
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    right, wrong = tmp_path / "right.toml", tmp_path / "wrong.toml"
    right.write_text(RIGHT)
    wrong.write_text(RIGHT.replace("[[run.a]]", "[[run.b]]"))
    return str(right), str(wrong)


def test_a_right_file_is_summed_up(files: tuple[str, str]) -> None:
    """That it says how many cells there are shows a slip before a night is spent on them."""
    result = CliRunner().invoke(main, ["--check", files[0]])
    counts = "3 cells, 2 repeats after 1 warm-up, 1 phase, 1 role, 1 step, 1 metric, 1 check, 1 warning"
    assert (result.exit_code, result.stdout) == (0, f"{files[0]}: ok: {counts}\n")
    assert "warning[W001]: nothing sets $typo" in result.stderr


def test_a_secret_that_is_not_here_is_a_warning(tmp_path: Path) -> None:
    """Who checks a trial in a hook need not have what the lab has; a mistake in it is one all the same."""
    file = tmp_path / "t.toml"
    file.write_text(RIGHT.replace("$typo", "$n") + '[env]\nTOKEN = "secret:NO_SUCH"\n')
    result = CliRunner().invoke(main, ["--check", str(file)])
    assert result.exit_code == 0
    assert f"{file}:16:9: warning[E053]: there is no secret NO_SUCH" in result.stderr
    assert "1 warning, 1 secret (NO_SUCH)" in result.stdout
    file.write_text(file.read_text().replace("[[run.a]]", "[[run.b]]"))
    assert CliRunner().invoke(main, ["--check", str(file)]).exit_code == 2


def test_several_files_are_all_read(files: tuple[str, str]) -> None:
    """A hook of a repository hands over all that have changed."""
    right, wrong = files
    result = CliRunner().invoke(main, [wrong, right, "--check"])
    assert result.exit_code == 2
    assert "error[E012]: no role `b`" in result.stderr
    assert result.stdout.startswith(f"{right}: ok: ")


def test_one_trial_is_run_at_a_time(files: tuple[str, str]) -> None:
    """Nobody waits for the second one to be started."""
    result = CliRunner().invoke(main, list(files))
    assert result.exit_code == 2
    assert "one trial is run at a time" in result.stderr


def test_a_code_is_explained() -> None:
    """Without a trial, and without a broker."""
    result = CliRunner().invoke(main, ["--explain", "E012"])
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "E012: A phase has a role that is not in [nodes]",
    )
    listed = CliRunner().invoke(main, ["--explain"])
    assert listed.exit_code == 0
    assert "\nE012  A phase has a role" in listed.stdout
    assert CliRunner().invoke(main, ["--explain", "E999"]).exit_code == 2

"""How every command ends: mistakes in one form, and streams that are closed or full."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fabric.cli.main import main
from fabric.cli.options import is_unwritable

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("line", "sentence", "hint"),
    [
        ("nosuch", "no such command 'nosuch'", "fabric --help says more"),
        ("node", "no such command 'node'", "did you mean nodes?  fabric --help says more"),
        ("runs --jso", "there is no option --jso", "did you mean --json?  fabric runs show --help says more"),
        (
            "--broker tcp://lab:7400 nodes",
            "--broker stands behind the command, not before it",
            "write `fabric nodes --broker ...`",
        ),
        ("--nosuch nodes", "there is no option --nosuch", "fabric --help says more"),
        (
            "run --local --broker tcp://lab:7400 a.toml",
            "--local has a broker of its own, so --broker does not go with it",
            "fabric run --help says more",
        ),
        ("run", "TRIAL is missing", "fabric run [OPTIONS] TRIAL; --help says more"),
        ("run --repeat x a.toml", "--repeat: 'x' is no whole number", "fabric run --help says more"),
        (
            "tail --patience nan",
            "--patience: nan is not between 0 and 2592000",
            "fabric tail --help says more",
        ),
        ("tail a b", "got unexpected extra argument (b)", "fabric tail [OPTIONS] [RUN]; --help says more"),
        ("agent a b", "got unexpected extra argument (b)", "fabric agent [OPTIONS] [URL]; --help says more"),
        ("broker --log-files x", "--log-files: 'x' is no whole number", "fabric broker --help says more"),
        (
            "run --wait a.toml",
            "--wait: 'a.toml' needs a duration with its unit, such as 30s",
            "write --wait=1h, or put --wait behind TRIAL",
        ),
    ],
)
def test_a_mistake_on_a_command_line_is_a_line_and_a_hint(line: str, sentence: str, hint: str) -> None:
    """As every other error of ours: what is wrong first, not a synopsis that hides it."""
    result = CliRunner().invoke(main, line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {sentence}\nhint: {hint}\n"


def test_phases_that_are_named_by_nothing_are_a_mistake() -> None:
    """``--phases "$PHASES"`` with a variable that is not set would run the whole trial."""
    result = CliRunner().invoke(main, ["run", "--plan", "--phases", "", "configs/trials/hello.toml"])
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, "error: there is no phase ``")


def test_a_value_from_the_environment_says_so() -> None:
    """Who has not typed it would not find it."""
    result = CliRunner().invoke(main, ["tail"], env={"FABRIC_TAIL_CLOCK": "mine"})
    assert result.stderr.startswith("error: --clock (from FABRIC_TAIL_CLOCK): 'mine' is not one of")


@pytest.mark.parametrize(
    ("redirected", "code", "err"),
    [
        (">&-", 0, ""),
        ("2>&- >&- <&-", 0, ""),
        (">/dev/full", 3, "error: cannot write to stdout: No space left on device\n"),
        (">/dev/full 2>/dev/full", 3, ""),
    ],
)
def test_streams_that_are_closed_or_full(redirected: str, code: int, err: str) -> None:
    """Nobody to tell is no error; what could not be told is one, and never looks like a failed test."""
    done = subprocess.run(
        f"exec {BIN}/fabric-tail --help {redirected}", shell=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", err)


def test_only_what_was_to_be_printed_counts_as_that() -> None:
    """A full disk under the bundle has another way out than a full disk under the log of CI."""

    def of(raising: str) -> OSError:
        try:
            exec(compile(raising, "x", "exec"), {"__name__": "fabric.store.log", "click": click})
        except OSError as error:
            return error
        raise AssertionError

    assert not is_unwritable(of("raise OSError(28, 'full')"))
    assert not is_unwritable(of("raise OSError(28, 'full', '/state/log')"))

"""How every command ends: mistakes in one form, and streams that are closed or full."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fabric.cli.main import main
from fabric.cli.options import is_unwritable

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


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
    trial = str(Path(__file__).parents[2] / "configs/trials/hello.toml")
    result = CliRunner().invoke(main, ["run", "--plan", "--phases", "", trial])
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, "error: there is no phase ``")


@pytest.mark.parametrize(
    "line",
    [
        "run --lease nan a.toml",
        f"run --repeat {'9' * 20} a.toml",
        f"tail --from @{'9' * 16}",
        f"tail --from @{'9' * 5000}",
        f"keys invite --role node --uses {'9' * 20}",
        f"keys invite --role node --expires {'9' * 400}d",
        f"broker --log-bytes {'9' * 5000}",
        f"broker --lifeline-fd {'9' * 20}",
        "agent --disk-patience inf",
        "agent --launcher-patience 1 nan 1",
    ],
)
def test_numbers_beyond_all_sense_are_a_mistake(line: str) -> None:
    """What no message can say, or no clock count, is refused where it was typed, not in the middle."""
    result = CliRunner().invoke(main, line.split())
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert result.stderr.startswith("error: --")


@pytest.mark.parametrize(
    "line",
    [
        "exec n1 -- echo x",
        "exec n1 --user x -- true",
        "keys invite --role node --name x",
        "runs x",
        "runs rm x",
        "run x",
    ],
)
def test_bytes_that_are_no_text_are_a_mistake(line: str) -> None:
    """No message can say them; a command would fail when its nodes are reserved."""
    result = CliRunner().invoke(
        main, [os.fsdecode(b"lab\xff") if word == "x" else word for word in line.split()]
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(r"error: 'lab\xff' is not UTF-8" + "\nhint: names and words")


def test_a_path_may_be_of_any_bytes(tmp_path: Path) -> None:
    """The file system takes them, and so does who reads where things are."""
    path = bytes(tmp_path) + b"/\xff.toml"
    Path(os.fsdecode(path)).write_text((ROOT / "configs/trials/hello.toml").read_text())
    result = CliRunner().invoke(main, ["run", "--check", os.fsdecode(path)])
    assert (result.exit_code, result.stdout_bytes.startswith(path + b": ok")) == (0, True), result.stderr


def test_a_command_without_a_program_is_a_mistake() -> None:
    """Not the failed test that it would be on a node."""
    result = CliRunner().invoke(main, ["exec", "n1", "--", ""])
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, "error: the command is empty")


@pytest.mark.parametrize(
    "words", [["runs"], ["runs", "rm", "-y"], ["runs", "bundle"], ["tail"], ["run", "a.toml", "--resume"]]
)
def test_an_empty_name_of_a_run_is_a_mistake(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a variable that is not set: it would begin the names of all."""
    monkeypatch.setattr("fabric.cli.attach.attached", lambda *_, **__: nullcontext())
    result = CliRunner().invoke(main, [*words, ""])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the name of the run is empty" in result.stderr


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

"""What all commands share: variables for options, one line for an error, exit codes to rely on."""

import io
import os
import signal
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fabric.cli.durations import read_days
from fabric.cli.options import (
    common_options,
    deferred_interrupt,
    option,
    reported_errors,
    settings,
    wants_color,
)
from fabric.errors import FabricError, UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def command_that(raises: BaseException | None = None) -> click.Command:
    @click.command("demo", context_settings=settings("demo"))
    @option("--from", "start", default="start")
    @option("--node", "nodes", multiple=True)
    @common_options
    def demo(**values: Any) -> None:
        with reported_errors():
            if raises is not None:
                raise raises
            click.echo(f"{values['start']} {values['nodes']}")

    return demo


@pytest.mark.parametrize(
    ("error", "code", "err"),
    [
        (UsageError("no such role", hint="roles: a, b"), 2, "error: no such role\nhint: roles: a, b\n"),
        (FabricError("broker away"), 3, "error: broker away\n"),
        (OSError(28, "No space left on device"), 3, None),
        (ValueError("a bug"), 3, "error: ValueError: a bug\nhint: --verbose shows where it came from\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_a_hint_and_an_exit_code(
    error: BaseException, code: int, err: str | None
) -> None:
    """Code 1 says that a test failed: nothing that goes wrong in the fabric may end with it."""
    result = CliRunner().invoke(command_that(error))
    assert (result.exit_code, result.stdout) == (code, "")
    assert err is None or result.stderr == err
    assert "Traceback" not in result.stderr


def test_verbose_adds_the_traceback() -> None:
    """Only for who asks for it."""
    result = CliRunner().invoke(command_that(FabricError("broker away")), ["-v"])
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: broker away\n")


def test_an_option_is_set_by_a_variable_with_the_name_of_its_flag() -> None:
    """CI sets variables; --help tells which."""
    result = CliRunner().invoke(
        command_that(), env={"FABRIC_DEMO_FROM": "now", "FABRIC_DEMO_NODE": "lab1 lab2"}
    )
    assert result.stdout == "now ('lab1', 'lab2')\n"
    result = CliRunner().invoke(command_that(), ["--from", "start"], env={"FABRIC_DEMO_FROM": "now"})
    assert result.stdout == "start ()\n"
    shown = CliRunner().invoke(command_that(), ["--help"]).stdout
    assert {"FABRIC_DEMO_FROM", "FABRIC_DEMO_NODE", "FABRIC_DEMO_VERBOSE"} <= set(
        shown.replace("]", " ").replace(";", " ").split()
    )


def test_an_interrupt_waits_for_the_end_of_what_must_not_be_cut() -> None:
    """A batch of lines and the number that goes with it belong together; the second Ctrl-C is obeyed."""
    survived: list[int] = []

    def interrupt(times: int) -> None:
        with deferred_interrupt():
            for time in range(times):
                os.kill(os.getpid(), signal.SIGINT)
                survived.append(time)

    with pytest.raises(KeyboardInterrupt):
        interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        interrupt(2)
    assert survived == [0, 0], "the first one waited, the second one did not"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_colours_are_for_terminals_and_go_away_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR is a promise of many programs (no-color.org)."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_color(Terminal())
    assert not wants_color(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_color(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color(Terminal())


@pytest.mark.parametrize(
    ("text", "seconds"), [("2d", 172_800), ("1d12h", 129_600), ("720h", 2_592_000), ("1h", 3600)]
)
def test_what_keys_take_may_be_told_in_days(text: str, seconds: float) -> None:
    """A guest's key for two days, as the documents show it."""
    context, parameter = click.Context(click.Command("x")), click.Option(["--expires"])
    assert read_days(context, parameter, text) == seconds


@pytest.mark.parametrize("text", ["31d", "30d1h", "721h", "d", "2w", ""])
def test_what_is_longer_than_a_month_is_none(text: str) -> None:
    """The broker would refuse it, later."""
    with pytest.raises(click.BadParameter, match="such as 12h or 2d"):
        read_days(click.Context(click.Command("x")), click.Option(["--expires"]), text)

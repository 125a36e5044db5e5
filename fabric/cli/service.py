"""What the broker and the agent share as services: a settings file behind the options, and where logs go.

The command line wins over the environment, that over the file, that over the defaults.  A key of the file is
called like the parameter of its option, so that click does the rest.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from fabric.cli.options import common_options, option, reported_errors
from fabric.logfile import FORMS, MAX_BYTES, MAX_FILES, MIN_BYTES, USUAL_BYTES, USUAL_FILES, Form, LogFile

if TYPE_CHECKING:
    from fabric.settings import Sections

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS_DIR: Final = Path("/etc/testfabric")
"""Where the settings of a machine's services are."""

MAX_DESCRIPTOR: Final = (1 << 31) - 1
"""What the kernel takes for the number of one."""

_LOG_HELP: Final = "How an event is written: for people, or as one object of JSON a line."
_META: Final = f"{__name__}.settings"
_PLAIN: Final = re.compile(r"[0-9]{1,18}")


def config_options(section: str, sections: "Callable[[], Sections]") -> Callable[[F], F]:
    """Add ``--config FILE`` and ``--check-config``; the command takes ``config`` and ``check_config``.

    Args:
        section: That has the command's options; it names the usual file, too.
        sections: Returns all that may be in the file; called only if there is one.
    """

    def read(ctx: click.Context, _: click.Parameter, named: Path | None) -> Path | None:
        usual = SETTINGS_DIR / f"{section}.toml"
        if ctx.resilient_parsing or (named is None and not _is_wanted(ctx, usual)):
            return None
        path = named or usual
        with reported_errors():
            from fabric.settings import load_settings

            found = load_settings(path, sections())
        ctx.meta[_META] = found
        ctx.default_map = found.get(section, {})
        return path

    def decorate(function: F) -> F:
        function = click.option(
            "--check-config",
            is_flag=True,
            allow_from_autoenv=False,
            help="Only read options and settings as a start does; exit with 0 if they are right, or 2.",
        )(function)
        return option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            is_eager=True,
            callback=read,
            help="Settings; the command line wins over them.  "
            f"[default: {SETTINGS_DIR}/{section}.toml if it is there]",
        )(function)

    return decorate


def log_options(function: F) -> F:
    """Add ``--log``, ``--log-file``, ``--log-bytes``, ``--log-files``, ``-v`` and ``-q``.

    The command takes them as they come and hands them to `set_up_logs`.
    """
    for one in reversed(
        (
            option("--log", type=click.Choice(FORMS), default="console", show_default=True, help=_LOG_HELP),
            option(
                "--log-file",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Log into this file instead of to stderr.",
            ),
            option(
                "--log-bytes",
                type=click.UNPROCESSED,
                callback=_read_size,
                default=USUAL_BYTES,
                metavar="SIZE",
                help='A log file that would be longer is moved to FILE.1: "64 MiB".  [default: 10 MiB]',
            ),
            option(
                "--log-files",
                type=click.IntRange(0, MAX_FILES),
                default=USUAL_FILES,
                show_default=True,
                metavar="N",
                help="How many older log files are kept: FILE.1 is the youngest.",
            ),
        )
    ):
        function = one(function)
    return common_options(function)


def set_up_logs(
    *, log: Form, log_file: Path | None, log_bytes: int, log_files: int, verbose: bool, quiet: bool
) -> None:
    """Do what the options say.

    Raises:
        UsageError: If the log file cannot be written.
    """
    from fabric.log import level_for, set_up

    stream = LogFile(log_file, log_bytes, log_files) if log_file else None
    set_up(level_for(verbose - quiet), as_json=log == "json", stream=stream)


def section_of(ctx: click.Context, name: str) -> dict[str, Any]:
    """Return what the settings file says in a section that no option stands for; {} without a file."""
    found: dict[str, Any] = ctx.meta.get(_META, {}).get(name, {})
    return found


def say_checked(*files: Path | None) -> None:
    """Print what ``--check-config`` found: nothing wrong, or there was an error before."""
    for file in filter(None, files):
        click.echo(f"{file}: ok")
    if not any(files):
        click.echo("no settings file; the options are ok")


def ephemeral_option(function: F) -> F:
    """Add ``--ephemeral`` for the services of a private lab, which know no settings of the machine."""
    return click.option("--ephemeral", is_flag=True, is_eager=True, hidden=True)(function)


def _is_wanted(ctx: click.Context, usual: Path) -> bool:
    """Whether the usual file is there, and this is no private lab: ``--ephemeral`` has been read by now."""
    if ctx.params.get("ephemeral"):
        return False
    try:
        return usual.exists()
    except OSError:
        return True  # it is hidden from this user: reading it will say so


def _read_size(ctx: click.Context, parameter: click.Parameter, value: str | int) -> int:
    """Return the bytes of "64 MiB", or of a plain number."""
    from fabric.settings import BadValue, checks

    plain = int(value) if isinstance(value, str) and _PLAIN.fullmatch(value) else value
    try:
        return int(checks.size(MIN_BYTES, MAX_BYTES)(plain))
    except BadValue as error:
        raise click.BadParameter(str(error), ctx, parameter) from None

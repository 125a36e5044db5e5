"""Options that take a duration as trials have it, and ``--wait`` that is one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from fabric.cli.options import option, read_seconds

if TYPE_CHECKING:
    from fabric.controller.finding import Wait

_DAY_S: Final = 86_400.0
_MOST_DAYS: Final = 30

F = TypeVar("F", bound=Callable[..., Any])


def wait_option(function: F) -> F:
    """Add ``--wait``."""
    return option(
        "--wait",
        is_flag=False,
        flag_value="1h",
        metavar="[DURATION]",
        callback=_read_wait,
        help="Wait for nodes that others use, instead of giving up: so long as --wait=30m says, or 1h. "
        "Without a DURATION it stands behind all else.",
    )(function)


def patience_option(function: F) -> F:
    """Add ``--patience``."""
    return option(
        "--patience",
        type=float,
        callback=read_seconds,
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a broker that is away is waited for.",
    )(function)


def _read_wait(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of ``--wait``, which takes the next word for its duration, whatever that is."""
    try:
        return read_duration(context, parameter, value)
    except click.BadParameter as error:
        names = [one.human_readable_name for one in context.command.params if isinstance(one, click.Argument)]
        behind = f", or put --wait behind {names[0].upper()}" if names else ""
        raise click.BadParameter(f"{error.message}\nhint: write --wait=1h{behind}") from None


def waiting(limit_s: float | None) -> "Wait":
    """Return what ``--wait`` asks for; what is waited for is told on stderr."""
    from fabric.controller.finding import Wait

    return Wait(limit_s or 0.0, lambda why: click.echo(f"waiting: {why}", err=True))


def read_duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of an option's duration, as a trial has it."""
    if value is None:
        return None
    from fabric.trial.durations import seconds

    try:
        return seconds(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}, such as 30s") from None


def read_days(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """Return the seconds of a duration that may be up to 30 days long, and may be told in days."""
    from fabric.trial.durations import seconds

    days, has_days, rest = value.partition("d")
    try:
        if not has_days or not days.strip().isdecimal():
            return seconds(value, _MOST_DAYS * _DAY_S)
        found_s = min(int(days), _MOST_DAYS + 1) * _DAY_S + (
            seconds(rest.strip(), _DAY_S) if rest.strip() else 0.0
        )
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}, such as 12h or 2d") from None
    if found_s > _MOST_DAYS * _DAY_S:
        raise click.BadParameter(f"{value!r} is longer than the limit of 30 days, such as 12h or 2d")
    return found_s

"""Options that take a duration as trials have it, and ``--wait`` that is one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fabric.cli.options import option

if TYPE_CHECKING:
    from fabric.controller.finding import Wait

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
        type=click.FloatRange(min=0),
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

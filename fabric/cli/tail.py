"""``fabric-tail``: what a run reports, live or from the store."""

import re
from typing import TYPE_CHECKING, Any, Final

import click

from fabric.cli.command import Command
from fabric.cli.durations import patience_option
from fabric.cli.options import broker_option, common_options, option, reported_errors, settings

if TYPE_CHECKING:
    from fabric.cli.tailing import Start


_MAX_DIGITS: Final = 15
"""Of the number of a record: fewer than `MAX_COUNT` has."""


def _read_start(_context: click.Context, _parameter: click.Parameter, value: str) -> "Start":
    """Read where to begin: ``run``, ``now``, a duration before now, or ``@SEQ``, the number of a record."""
    from fabric.cli.tailing import Start

    if value in ("run", "now"):
        return Start(word=value)
    digits = value.removeprefix("@")
    if value.startswith("@") and digits.isascii() and digits.isdecimal() and digits.strip("0"):
        if len(digits) > _MAX_DIGITS:
            raise click.BadParameter(f"{value!r:.40} is no number that a record can have")
        return Start(number=int(digits))
    from fabric.trial.durations import NoDurationError, seconds

    try:
        return Start(ago_s=seconds(value))
    except ValueError as error:
        if not isinstance(error, NoDurationError):
            raise click.BadParameter(f"{value!r} {error}") from None
        raise click.BadParameter(
            f"{value!r} is not run, now, a duration such as 5m, or @SEQ, such as @1200"
        ) from None


def _read_pattern(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> "re.Pattern[str] | None":
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is no regular expression: {error}") from None


@click.command("fabric-tail", cls=Command, context_settings=settings("tail"))
@click.argument("run", default="latest")
@option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@option("--follow-runs", is_flag=True, help="Wait for runs, and go on with the next one when one is over.")
@option(
    "--from",
    "start",
    metavar="run|now|5m|@SEQ",
    callback=_read_start,
    default="run",
    show_default=True,
    help="Where to begin: at the run's start, now, so long before now, at a record.",
)
@option("--node", "nodes", multiple=True, metavar="N", help="Only of this node; may be repeated.")
@option("--role", "roles", multiple=True, metavar="R", help="Only of this role; may be repeated.")
@option("--step", "steps", multiple=True, metavar="S", help="Only of steps of this name; may be repeated.")
@option("--grep", "pattern", metavar="REGEX", callback=_read_pattern, help="Only lines of output that match.")
@option("--invert", is_flag=True, help="With --grep: only lines that do not match.")
@option(
    "--merge",
    is_flag=True,
    help="In the order of the time on the nodes, not as records came; ~ marks what may belong further up.",
)
@option("--fold", is_flag=True, help="Equal lines of many nodes once.")
@option(
    "--clock",
    type=click.Choice(["run", "wall", "phase"]),
    default="run",
    show_default=True,
    help="Times since the run's start, of the clock on the wall, or since the go of the phase.",
)
@option("--json", "as_json", is_flag=True, help="One JSON object a line, as in events.jsonl.")
@patience_option
@broker_option
@common_options
def main(*, run: str, patience: float, broker: str | None, verbose: bool, quiet: bool, **wishes: Any) -> None:
    """Show what RUN reports: its id, the beginning of it, or `latest`.

    Without --follow it ends when all that is stored has been shown.  It goes on by itself after a break of
    the network or of the broker; when it is left, it says how to go on from there.
    """
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.tailing import Tailing, Wishes

        tailing = Tailing(Wishes(quiet=quiet, **wishes))
        with attached("fabric-tail", broker, patience, verbose=verbose, quiet=quiet) as connection:
            tailing.show(connection, run)

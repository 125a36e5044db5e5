"""``fabric-tail``: what a run reports, live or from the store."""

import io
import sys
from typing import TYPE_CHECKING, Literal

import click

from fabric.cli.options import (
    broker_option,
    common_options,
    deferred_interrupt,
    option,
    reported_errors,
    settings,
    wants_color,
)
from fabric.errors import FabricError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fabric.controller.connection import Connection
    from fabric.protocol.messages import RunInfo
    from fabric.report.views import Selection, View

Start = Literal["start", "now"] | int


def _read_start(_context: click.Context, _parameter: click.Parameter, value: str) -> Start:
    """Read where to begin: ``start``, ``now`` or ``@SEQ``, the number of a record."""
    if value == "start":
        return "start"
    if value == "now":
        return "now"
    digits = value.removeprefix("@")
    if value.startswith("@") and digits.isascii() and digits.isdecimal() and int(digits) > 0:
        return int(digits)
    raise click.BadParameter(f"{value!r} is not start, now or @SEQ, such as @1200")


@click.command("fabric-tail", context_settings=settings("tail"))
@click.argument("run", default="latest")
@option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@option(
    "--from",
    "start",
    metavar="start|now|@SEQ",
    callback=_read_start,
    default="start",
    show_default=True,
    help="Where to begin.",
)
@option("--node", "nodes", multiple=True, metavar="N", help="Only of this node; may be repeated.")
@option("--role", "roles", multiple=True, metavar="R", help="Only of this role; may be repeated.")
@option("--step", "steps", multiple=True, metavar="S", help="Only of steps of this name; may be repeated.")
@option("--json", "as_json", is_flag=True, help="One JSON object a line, as in events.jsonl.")
@option(
    "--patience",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a broker that went away.",
)
@broker_option
@common_options
def main(
    *,
    run: str,
    follow: bool,
    start: Start,
    nodes: tuple[str, ...],
    roles: tuple[str, ...],
    steps: tuple[str, ...],
    as_json: bool,
    patience: float,
    broker: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Show what RUN reports: its id, the beginning of it, or `latest`.

    Without --follow it ends when all that is stored has been shown.  It goes on by itself after a break of
    the network or of the broker; when it is left, it says how to go on from there.
    """
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.controller.lookup import find_run
        from fabric.report.views import Selection

        wanted = Selection(frozenset(nodes), frozenset(roles), frozenset(steps))
        with attached("fabric-tail", broker, patience, verbose=verbose, quiet=quiet) as connection:
            info = find_run(connection, run)
            _show(connection, info, start, follow=follow, wanted=wanted, as_json=as_json, quiet=quiet)


def _show(
    connection: "Connection",
    info: "RunInfo",
    start: Start,
    *,
    follow: bool,
    wanted: "Selection",
    as_json: bool,
    quiet: bool,
) -> None:
    from fabric.controller.tail import RunTail, find_origin_ns

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 still shows the rest

    number = _number(start, info)
    origin_ns = None if number == 1 else find_origin_ns(connection, info)
    view = _view(origin_ns, as_json=as_json)
    tail = RunTail(connection, info, number=number, follow=follow)
    shown = number
    try:
        while not tail.done:
            reads = tail.turn(view.deadline_ns)
            with deferred_interrupt():  # else what is shown could be shown again by who goes on
                _print(view.lines((read for read in reads if read in wanted), connection.now_ns()))
                shown = tail.next
    except (KeyboardInterrupt, FabricError):
        _print(view.finish())
        if not quiet:
            click.echo(f"go on with: fabric-tail {info.run}{' -f' * follow} --from @{shown}", err=True)
        raise
    _print(view.finish())


def _number(start: Start, info: "RunInfo") -> int:
    if isinstance(start, int):
        return start
    return 1 if start == "start" else info.last + 1


def _view(origin_ns: int | None, *, as_json: bool) -> "View":
    from fabric.report.views import JsonView, TextView

    if as_json:
        return JsonView(origin_ns=origin_ns)
    return TextView(origin_ns=origin_ns, color=wants_color(sys.stdout))


def _print(lines: "Iterator[str]") -> None:
    """Write the lines, and let the next program in the pipe have them."""
    written = False
    for line in lines:  # not joined: a turn brings megabytes
        sys.stdout.write(line)
        sys.stdout.write("\n")
        written = True
    if written:
        sys.stdout.flush()

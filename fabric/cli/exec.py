"""``fabric exec``: one command on some nodes, now."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fabric.cli.command import Command as BaseCommand
from fabric.cli.command import told
from fabric.cli.durations import patience_option, read_duration, wait_option, waiting
from fabric.cli.options import (
    broker_option,
    common_options,
    option,
    reported_errors,
    settings,
    wants_color,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fabric.cli.outlet import Outlet
    from fabric.controller.command import Command
    from fabric.controller.connection import Connection
    from fabric.controller.entry import Read
    from fabric.controller.execute import Executed
    from fabric.report.execview import ExecView, Shown

PATIENCE_S: Final = 1.0
"""After Ctrl-C the reader of the output has so long for what waits."""

TOGETHER: Final = 256
"""Most texts that are written together: one by one they would cost as much as making them."""


class _Exec(BaseCommand):
    """Says what is missing where options of the command to execute are taken for its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except (click.NoSuchOption, click.BadOptionUsage) as error:
            if "--" in given:
                raise
            hint = "hint: `--` stands before the command: fabric exec lab1 -- uname -a"
            raise click.UsageError(f"{told(error)[0]}\n{hint}", ctx) from None


@click.command("exec", cls=_Exec, context_settings=settings("exec"))
@click.argument("spec")
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@option(
    "--timeout", metavar="D", callback=read_duration, help="End it after so long, such as 30s; default: 1h."
)
@option("--fold", is_flag=True, help="Equal lines of many nodes once.")
@option("--user", default="", metavar="NAME", help="As this user of the nodes, not as the agent's own.")
@option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for a bundle of it; without, none is written.",
)
@wait_option
@patience_option
@option("--json", "as_json", is_flag=True, help="One JSON object a line, as in events.jsonl.")
@broker_option
@common_options
def main(
    *,
    spec: str,
    command: tuple[str, ...],
    timeout: float | None,
    fold: bool,
    user: str,
    output: Path | None,
    wait: float | None,
    patience: float,
    as_json: bool,
    broker: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Execute COMMAND on the nodes of SPEC, at once, and show its output live.

    \b
    fabric exec 'lab[1-4]' -- uname -r
    fabric exec lab1,lab7 -- 'dmesg | tail -3'

    Words are executed as they stand; a single one with a space in it is a line for sh.  It is a run like any
    other: the nodes are reserved meanwhile, and `fabric runs` shows it.

    \b
    0 everywhere exit 0   1 it failed somewhere   3 a node could not be had, or was lost   130 interrupted
    """  # noqa: D301 - click wants the character, not the two that a raw string has
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.outlet import Outlet
        from fabric.controller.command import Command
        from fabric.controller.execute import nodes_for
        from fabric.controller.finding import races
        from fabric.protocol.limits import STEP_TIMEOUT_S

        wanted = Command.of(command, STEP_TIMEOUT_S if timeout is None else timeout, user)
        with attached("fabric-exec", broker, patience, verbose=verbose, quiet=quiet) as connection:
            outlet = Outlet((sys.stdout, sys.stderr), connection.loop.wake)
            for left in races(connection, waiting(wait)):
                nodes = nodes_for(connection, spec, left)
                show = _Show(outlet, None if as_json else _view(nodes, fold=fold))
                done = _execute(connection, nodes, wanted, show, outlet)
                if not done.was_late:
                    break
            lacking = show.finish(done)
            bundle = None
            if output is not None and done.started:
                bundle = _leave_bundle(connection, done, output)
        _conclude(done, nodes, quiet=quiet)
        if lacking:
            click.echo(f"{lacking}; all of it is stored: fabric-tail {done.run}", err=True)
        if bundle is not None and not quiet:
            click.echo(f"bundle: {bundle}", err=True)
        sys.exit(done.exit_code)


def _execute(
    connection: "Connection", nodes: "Sequence[str]", command: "Command", show: "_Show", outlet: "Outlet"
) -> "Executed":
    from fabric.controller.execute import execute

    return execute(connection, nodes, command, show, show_deadline=lambda: show.deadline_ns, outlet=outlet)


def _view(nodes: "Sequence[str]", *, fold: bool) -> "ExecView":
    from fabric.report.execview import exec_view

    return exec_view(nodes, fold=fold, color=wants_color(sys.stdout))


class _Show:
    """Prints what the view makes of the records: lines of stdout on stdout, of stderr on stderr."""

    def __init__(self, outlet: "Outlet", view: "ExecView | None") -> None:
        self._outlet = outlet
        self._view = view
        self._origin_ns: int | None = None
        self._shown_bytes = 0  # of what the command wrote

    @property
    def deadline_ns(self) -> int | None:
        """When it is to be called though nothing has come."""
        return None if self._view is None else self._view.deadline_ns

    def __call__(self, reads: "Sequence[Read]", now_ns: int) -> None:
        from fabric.protocol.records import Output

        self._shown_bytes += sum(read.record.size for read in reads if isinstance(read.record, Output))
        if self._view is None:
            self._print_events(reads)
        else:
            self._print(self._view.lines(reads, now_ns))

    def finish(self, done: "Executed") -> str:
        """Print what is left; say how much of the output it was not.

        Raises:
            OSError: If it could not be written.
        """
        from fabric.report.quantities import size

        if self._view is not None:
            self._print(self._view.finish())
        is_over = done.verdict == "interrupted"
        unwritten = self._outlet.close(PATIENCE_S if is_over else None)
        if not is_over:
            return ""
        written = sum(end.stdout_bytes + end.stderr_bytes for end in done.ends.values())
        lacking = written - self._shown_bytes + unwritten
        if lacking > 0:
            return f"{size(lacking)} of output were not shown"
        return "some of the output was not shown" if done.passes_over or unwritten else ""

    def _print_events(self, reads: "Sequence[Read]") -> None:
        from fabric.report.events import event_line, event_of, is_event

        for read in reads:
            if self._origin_ns is None:
                self._origin_ns = read.record.t_ns
            if is_event(read.record):
                self._outlet.put(event_line(event_of(read, self._origin_ns)), is_stderr=False)

    def _print(self, lines: "Iterable[Shown]") -> None:
        texts: list[str] = []
        is_stderr = False
        for line in lines:
            if texts and (line.is_stderr != is_stderr or len(texts) >= TOGETHER):
                self._outlet.put("\n".join(texts), is_stderr=is_stderr)
                texts.clear()
            is_stderr = line.is_stderr
            texts.append(line.text)
        if texts:
            self._outlet.put("\n".join(texts), is_stderr=is_stderr)


def _leave_bundle(connection: "Connection", done: "Executed", directory: Path) -> Path:
    from fabric.controller.bundling import write_bundle

    return write_bundle(connection, done.run, directory, latest=True)


def _conclude(done: "Executed", nodes: "Sequence[str]", *, quiet: bool) -> None:
    """Say how it ended on which nodes; with --quiet only where it failed."""
    from fabric.report.execview import endings

    if not done.started:
        for why in done.whys:
            click.echo(f"error: {why}", err=True)
        return
    for line, failed in endings(nodes, done.ends):
        if failed or not quiet:
            click.echo(line, err=True)
    if done.verdict not in ("pass", "fail") or len(done.ends) < len(nodes):
        for why in done.whys:
            click.echo(why if why == done.verdict else f"{done.verdict}: {why}", err=True)

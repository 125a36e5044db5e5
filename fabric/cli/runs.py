"""``fabric runs``: what ran, how it ended, and what is left of it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fabric.cli.groups import ShowGroup
from fabric.cli.options import broker_option, common_options, option, reported_errors, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fabric.controller.connection import Connection
    from fabric.protocol.messages import RunInfo


@click.group("runs", cls=ShowGroup, context_settings=settings("runs"))
def main() -> None:
    """Show the runs that the broker has stored, or one of them; make bundles of them, remove them.

    A RUN is named by its id, the beginning of it, or `latest`.
    """


@main.command("show", context_settings=settings("runs"), short_help="List the newest runs, or show one.")
@click.argument("run", required=False)
@option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Most runs to list.")
@option("--json", "as_json", is_flag=True, help="JSON, for programs: one object a line.")
@broker_option
@common_options
def show(
    *, run: str | None, limit: int, as_json: bool, broker: str | None, verbose: bool, quiet: bool
) -> None:
    """List the newest runs first, or show RUN: its verdict and why, its phases, the steps that failed."""
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.instants import plain
        from fabric.cli.runtable import table_of
        from fabric.controller.lookup import list_runs

        with attached("fabric-runs", broker, verbose=verbose, quiet=quiet) as connection:
            if run is not None:
                lines = _one(connection, run, as_json=as_json)
            else:
                found = list_runs(connection, limit=limit)
                texts = [json.dumps(plain(info)) for info in found] if as_json else None
                lines = texts if texts is not None else table_of(found, connection.fabric_ns())
                if len(found) == limit and not quiet:
                    click.echo(f"the newest {limit}; --limit shows more", err=True)
        for line in lines:
            click.echo(line)


@main.command("bundle", context_settings=settings("runs_bundle"), short_help="Write the bundle of a run.")
@click.argument("run", default="latest")
@option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Directory for bundles.",
)
@option("--json", "as_json", is_flag=True, help="Say where it is as a JSON object.")
@broker_option
@common_options
def bundle(*, run: str, output: Path, as_json: bool, broker: str | None, verbose: bool, quiet: bool) -> None:
    """Write the bundle of RUN from what the broker has stored.

    Also of a run that goes on, or whose controller died: then it is what there is by now.
    """
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.controller.bundling import write_bundle
        from fabric.controller.lookup import find_run

        with attached("fabric-runs", broker, verbose=verbose, quiet=quiet) as connection:
            info = find_run(connection, run)
            place = write_bundle(connection, info.run, output)
        if as_json:
            click.echo(json.dumps({"run": info.run, "state": info.state, "bundle": str(place)}))
        elif not quiet:
            click.echo(f"bundle: {place}" + (" (the run goes on)" if info.state == "open" else ""))


@main.command("rm", context_settings=settings("runs_rm"), short_help="Remove runs and their records.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@option("--json", "as_json", is_flag=True, help="Say what was removed as JSON objects.")
@broker_option
@common_options
def remove(
    *, runs: tuple[str, ...], yes: bool, as_json: bool, broker: str | None, verbose: bool, quiet: bool
) -> None:
    """Remove each RUN with all its records from the broker; bundles stay.  A run that goes on is refused."""
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.controller.lookup import find_run
        from fabric.controller.upkeep import delete_run

        with attached("fabric-runs", broker, verbose=verbose, quiet=quiet) as connection:
            found = {info.run: info for info in (find_run(connection, run) for run in runs)}
            _check_closed(tuple(found.values()))
            if not yes:
                _confirm(tuple(found.values()))
            for run in found:
                delete_run(connection, run)
                if as_json:
                    click.echo(json.dumps({"run": run, "removed": True}))
                elif not quiet:
                    click.echo(f"removed {run}")


def _check_closed(found: "Sequence[RunInfo]") -> None:
    """Refuse all if one is open: half of what was asked for is nothing one can rely on."""
    from fabric.errors import UsageError

    open_runs = [info.run for info in found if info.state == "open"]
    if open_runs:
        raise UsageError(
            f"{open_runs[0]} is open: it can be removed when it is over",
            hint="Ctrl-C in its fabric-run ends it; where that is gone, its lease does (20 s)",
        )


def _confirm(found: "Sequence[RunInfo]") -> None:
    from fabric.errors import UsageError
    from fabric.report.quantities import size

    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", hint="--yes removes without asking")
    for info in found:
        click.echo(f"{info.run}  {info.verdict}  {info.last} records  {size(info.size_bytes)}", err=True)
    click.confirm(f"Remove {len(found)} run{'s' * (len(found) > 1)} for good?", abort=True, err=True)


def _one(connection: "Connection", name: str, *, as_json: bool) -> list[str]:
    from fabric.cli.instants import plain
    from fabric.cli.runtable import details, was_passed_over
    from fabric.controller.lookup import find_run
    from fabric.controller.upkeep import document, run_details

    known = run_details(connection, find_run(connection, name).run)
    stored = document(connection, known.info.run, "result")
    whys = [str(why) for why in json.loads(stored).get("why", [])] if stored else []
    if not as_json:
        from fabric.controller.position import find_origin_ns

        return details(known, whys, connection.fabric_ns(), find_origin_ns(connection, known.info))
    steps, count = [plain(step) for step in known.failed], known.failed_count
    is_over = was_passed_over(known)
    whole = plain(known.info) | {
        "why": whys,
        "phases": [plain(phase) for phase in known.phases],
        "failed": [] if is_over else steps,
        "passed_over": steps if is_over else [],
        "counts": {"phases": known.phase_count, "steps": known.step_count, "failed": 0 if is_over else count},
    }
    return [json.dumps(whole)]

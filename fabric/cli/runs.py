"""``fabric runs``: what ran, and how it ended."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fabric.cli.options import broker_option, common_options, option, reported_errors, settings

if TYPE_CHECKING:
    from fabric.protocol.messages import RunInfo


@click.command("runs", context_settings=settings("runs"))
@click.argument("run", required=False)
@option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most runs to list.")
@option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@broker_option
@common_options
def main(
    *, run: str | None, limit: int, as_json: bool, broker: str | None, verbose: bool, quiet: bool
) -> None:
    """List the newest runs first, or show RUN: its id, the beginning of it, or `latest`."""
    with reported_errors():
        import time
        from dataclasses import asdict

        from fabric.cli.attach import attached
        from fabric.controller.lookup import find_run, list_runs

        with attached("fabric-runs", broker, verbose=verbose, quiet=quiet) as connection:
            found = [find_run(connection, run)] if run else list_runs(connection, limit=limit)
        if as_json:
            lines = [json.dumps(asdict(info)) for info in found]
        elif run:
            lines = _details(found[0], time.time_ns())
        else:
            lines = _table(found, time.time_ns())
        for line in lines:
            click.echo(line)


def _table(runs: "Sequence[RunInfo]", now_ns: int) -> list[str]:
    """Return a line for each run.  ``now_ns`` is the wall clock, close to the broker's fabric time."""
    from fabric.cli.table import table

    rows = [
        (
            info.run,
            info.name,
            info.verdict or info.state,
            _took(info, now_ns),
            info.operator,
            ",".join(info.nodes),
        )
        for info in runs
    ]
    return table(("RUN", "TRIAL", "VERDICT", "TOOK", "OPERATOR", "NODES"), rows)


def _details(info: "RunInfo", now_ns: int) -> list[str]:
    from fabric.report.style import printable

    rows = {
        "run": info.run,
        "trial": info.name,
        "state": info.state,
        "verdict": info.verdict or "-",
        "operator": info.operator,
        "opened": _clock(info.opened_ns),
        "closed": _clock(info.closed_ns) if info.closed_ns else "-",
        "took": _took(info, now_ns),
        "nodes": ", ".join(info.nodes),
        "records": str(info.last),
        "read it": f"fabric-tail {info.run}",
    }
    return [f"{name:<9} {printable(value)}" for name, value in rows.items()]


def _took(info: "RunInfo", now_ns: int) -> str:
    from fabric.report.quantities import duration

    return duration(max(0, (info.closed_ns or now_ns) - info.opened_ns))


def _clock(t_ns: int) -> str:
    """Return an instant of fabric time in the user's time zone."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(t_ns / 1e9, UTC).astimezone().isoformat(" ", "seconds")

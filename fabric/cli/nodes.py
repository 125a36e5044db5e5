"""``fabric nodes``: who is there, and what it does."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fabric.cli.options import broker_option, common_options, option, reported_errors, settings

if TYPE_CHECKING:
    from fabric.protocol.messages import NodeInfo


@click.command("nodes", context_settings=settings("nodes"))
@option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@broker_option
@common_options
def main(*, as_json: bool, broker: str | None, verbose: bool, quiet: bool) -> None:
    """List the nodes that the broker knows: free, busy (by which run) or away (since when)."""
    with reported_errors():
        import time
        from dataclasses import asdict

        from fabric.cli.attach import attached
        from fabric.controller.lookup import list_nodes

        with attached("fabric-nodes", broker, verbose=verbose, quiet=quiet) as connection:
            nodes = sorted(list_nodes(connection), key=lambda node: node.name)
        lines = [json.dumps(asdict(node)) for node in nodes] if as_json else _table(nodes, time.time_ns())
        for line in lines:
            click.echo(line)


def _table(nodes: "Sequence[NodeInfo]", now_ns: int) -> list[str]:
    """Return a line for each node.  ``now_ns`` is the wall clock, close to the broker's fabric time."""
    from fabric.cli.table import since, table

    rows = [
        (
            node.name,
            node.state,
            node.run,
            since(node.heard_ns, now_ns) if node.heard_ns else "never",
            ",".join(node.labels),
            " ".join(f"{name}={at}" if name else at for name, at in sorted(node.addresses.items())),
            node.facts.get("kernel", ""),
        )
        for node in nodes
    ]
    return table(("NODE", "STATE", "RUN", "HEARD", "LABELS", "ADDRESS", "KERNEL"), rows)

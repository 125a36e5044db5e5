"""``fabric nodes``: who is there, what it does, and who may have it."""

import json
import sys
from typing import TYPE_CHECKING

import click

from fabric.cli.durations import read_duration
from fabric.cli.groups import ShowGroup
from fabric.cli.options import broker_option, common_options, option, reported_errors, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fabric.controller.connection import Connection
    from fabric.protocol.messages import NodeInfo


@click.group("nodes", cls=ShowGroup, context_settings=settings("nodes"))
def main() -> None:
    """Show the nodes that the broker knows, or one of them; drain, label and clean them.

    A node is free, busy (by which run), dirty (a reset failed there), drained (no new run gets it), away or
    revoked (so is its key).
    """


@main.command("show", context_settings=settings("nodes"), short_help="Show all nodes, or one.")
@click.argument("node", required=False, metavar="[NODE]")
@option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@option(
    "--clock", is_flag=True, help="What they know of the time: bound, round trip, drift, their kernels' view."
)
@option("--watch", is_flag=True, help="Go on showing them; into a pipe, one line for each change.")
@broker_option
@common_options
def show(
    *,
    node: str | None,
    as_json: bool,
    clock: bool,
    watch: bool,
    broker: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """List all nodes, or those of NODE, such as lab[1-4] or @etcd; tell all that is known of a single one."""
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.clocktable import clocks_of
        from fabric.cli.nodetable import details, table_of

        table = clocks_of if clock else table_of

        with attached("fabric-nodes", broker, verbose=verbose, quiet=quiet) as connection:
            if watch:
                from fabric.cli.watch import watch_nodes

                watch_nodes(connection, lambda: _wanted(connection, node), table, as_json=as_json)
            nodes = _wanted(connection, node)
            now_ns = connection.fabric_ns()
        is_one = node and len(nodes) == 1 and not clock
        shown = details(nodes[0], now_ns) if is_one else table(nodes, now_ns)
        for line in _json(nodes) if as_json else shown:
            click.echo(line)


@main.command("drain", context_settings=settings("nodes_drain"), short_help="Keep new runs off nodes.")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@option("--why", default="", metavar="TEXT", help="What to tell those who want it.")
@broker_option
@common_options
def drain(*, nodes: tuple[str, ...], why: str, broker: str | None, verbose: bool, quiet: bool) -> None:
    """Keep new runs off each NODE, which may be a range such as lab[1-4].  A run that has it goes on."""
    _drain(nodes, why, broker, drained=True, verbose=verbose, quiet=quiet)


@main.command("undrain", context_settings=settings("nodes_undrain"), short_help="Let new runs in again.")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@broker_option
@common_options
def undrain(*, nodes: tuple[str, ...], broker: str | None, verbose: bool, quiet: bool) -> None:
    """Let new runs have each NODE again."""
    _drain(nodes, "", broker, drained=False, verbose=verbose, quiet=quiet)


@main.command("clean", context_settings=settings("nodes_clean"), short_help="Do a failed reset again.")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@option("--force", is_flag=True, help="Forget what is owed: you have cleaned up by hand.")
@option(
    "--within",
    default="10m",
    show_default=True,
    metavar="DURATION",
    callback=read_duration,
    help="How long to wait for all of them.",
)
@option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@broker_option
@common_options
def clean(
    *,
    nodes: tuple[str, ...],
    force: bool,
    within: float,
    as_json: bool,
    broker: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Do again what a failed reset left undone on each NODE, such as lab[1-4] or @etcd.

    \b
    0 all are clean   3 one is dirty still, or away
    """  # noqa: D301 - click wants the character, not the two that a raw string has
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.durations import waiting
        from fabric.controller.cleaning import clean as clean_nodes

        with attached("fabric-nodes", broker, verbose=verbose, quiet=quiet) as connection:
            found = [node for spec in nodes for node in _wanted(connection, spec)]
            wanted = {node.name: bool(node.dirty_run) for node in found}
            for name in [name for name, is_dirty in wanted.items() if not is_dirty]:
                _tell_cleaned(name, "", was_dirty=False, as_json=as_json)
            dirty = [name for name, is_dirty in wanted.items() if is_dirty]
            failed = clean_nodes(
                connection,
                dirty,
                force=force,
                tell=lambda name, why: _tell_cleaned(name, why, was_dirty=True, as_json=as_json),
                wait=waiting(None).tell,
                within_s=within,
            )
        sys.exit(3 if failed else 0)


def _tell_cleaned(name: str, why: str, *, was_dirty: bool, as_json: bool) -> None:
    from fabric.report.style import printable

    if as_json:
        click.echo(json.dumps({"node": name, "clean": not why, "was_dirty": was_dirty, "why": why}))
    elif why:
        click.echo(f"{name}: still dirty: {printable(why)}")
    else:
        click.echo(f"{name}: clean" if was_dirty else f"{name}: was not dirty")


@main.command(
    "label",
    # A label that is taken away looks like an option: no short one may be there.
    context_settings=settings("nodes_label")
    | {"ignore_unknown_options": True, "help_option_names": ["--help"]},
    short_help="Give a node labels, take them away.",
)
@click.argument("node")
@click.argument("labels", nargs=-1, required=True, type=click.UNPROCESSED, metavar="+LABEL|-LABEL...")
@broker_option
@option("--verbose", is_flag=True, help="Log what happens; show the cause of an error.")
@option("--quiet", is_flag=True, help="Say nothing but errors.")
def label(*, node: str, labels: tuple[str, ...], broker: str | None, verbose: bool, quiet: bool) -> None:
    """Give NODE each +LABEL and take each -LABEL away.

    The broker keeps them beside those that the agent was started with, which only its --label changes.
    """
    with reported_errors():
        from fabric.controller import upkeep
        from fabric.errors import UsageError

        wrong = [word for word in labels if word[:1] not in ("+", "-") or not word[1:]]
        if wrong:
            raise UsageError(f"{wrong[0]!r:.80} is no change of a label", hint="write +gpu or -flaky")
        add = [word[1:] for word in labels if word[0] == "+"]
        remove = [word[1:] for word in labels if word[0] == "-"]
        from fabric.cli.attach import attached
        from fabric.controller.lookup import named_nodes

        nodes = named_nodes(node)
        with attached("fabric-nodes", broker, verbose=verbose, quiet=quiet) as connection:
            upkeep.label(connection, nodes, add, remove)


def _drain(
    specs: "Sequence[str]", why: str, broker: str | None, *, drained: bool, verbose: bool, quiet: bool
) -> None:
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.controller import upkeep
        from fabric.controller.lookup import named_nodes

        nodes = named_nodes(",".join(specs))
        with attached("fabric-nodes", broker, verbose=verbose, quiet=quiet) as connection:
            upkeep.drain(connection, nodes, drained=drained, why=why)


def _wanted(connection: "Connection", spec: str | None) -> "Sequence[NodeInfo]":
    from fabric.controller.lookup import list_nodes, pick_nodes
    from fabric.report.fold import natural

    nodes = sorted(list_nodes(connection), key=lambda info: natural(info.name))
    return nodes if spec is None else pick_nodes(nodes, spec)


def _json(nodes: "Sequence[NodeInfo]") -> list[str]:
    from fabric.cli.instants import plain

    return [json.dumps(plain(node)) for node in nodes]

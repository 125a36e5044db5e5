"""Shows the nodes again and again: a screen on a terminal, else a line for each change."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import click

from fabric.cli.instants import iso, plain
from fabric.controller.connection import Connection
from fabric.protocol.messages import NodeInfo

EVERY_NS: Final = 1_000_000_000
"""Between two looks."""

_HOME: Final = "\x1b[H"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"

_QUIET: Final = ("heard", "incarnation", "clock")
"""What changes all the time, or with something else."""


def watch_nodes(
    connection: Connection,
    nodes: Callable[[], Sequence[NodeInfo]],
    table: Callable[[Sequence[NodeInfo], int], list[str]],
    *,
    as_json: bool,
) -> NoReturn:
    """Show the nodes until the user has seen enough; ``table`` takes them and the present, in fabric time.

    Raises:
        KeyboardInterrupt: Then.
        FabricError: If the broker stays away.
    """
    told: dict[str, dict[str, Any]] = {}
    if sys.stdout.isatty() and not as_json:
        click.echo(_HOME + _CLEAR_BELOW, nl=False)
    while True:
        while not connection.up:
            connection.turn()
        found = nodes()
        if sys.stdout.isatty() and not as_json:
            _draw(table(found, connection.fabric_ns()))
        else:
            _tell_changes(_changed(found, told), table, connection.fabric_ns(), as_json=as_json)
        until_ns = connection.now_ns() + EVERY_NS
        while connection.turn(until_ns) < until_ns:
            pass


def _draw(lines: Sequence[str]) -> None:
    """Write over the last screen: clearing it first would flicker."""
    width, height = shutil.get_terminal_size()
    if len(lines) > height - 1:
        more = len(lines) - height + 2
        lines = [*lines[: height - 2], f"... and {more} more"]
    text = "".join(f"{line[:width]}{_CLEAR_LINE}\n" for line in lines)
    click.echo(_HOME + text + _CLEAR_BELOW, nl=False)


def _changed(nodes: Sequence[NodeInfo], told: dict[str, dict[str, Any]]) -> list[NodeInfo]:
    """Return those of which something else is to be told than the last time."""
    changed = []
    for node in nodes:
        values = {name: value for name, value in plain(node).items() if name not in _QUIET}
        if told.get(node.name) != values:
            told[node.name] = values
            changed.append(node)
    return changed


def _tell_changes(
    nodes: Sequence[NodeInfo],
    table: Callable[[Sequence[NodeInfo], int], list[str]],
    now_ns: int,
    *,
    as_json: bool,
) -> None:
    for node in nodes:
        if as_json:
            click.echo(json.dumps(plain(node)))
        else:
            click.echo(f"{iso(now_ns)} {' '.join(table([node], now_ns)[1].split())}")
    sys.stdout.flush()

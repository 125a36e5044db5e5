"""The ``fabric`` command: all commands as subcommands, each loaded only when it is used."""

import importlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import click

from fabric import __version__
from fabric.cli.command import Group
from fabric.cli.options import reported_errors, settings


class _Lazy(NamedTuple):
    """Where a command is, and its line in the list, which must not need the import."""

    target: str
    short_help: str


COMMANDS: Final[Mapping[str, _Lazy]] = {
    # The broker and the agent are named by strings only: the packages meet on the wire, not by import.
    "broker": _Lazy("broker.cli:main", "Run the broker."),
    "agent": _Lazy("agents.cli:main", "Run the agent of a node."),
    "run": _Lazy("fabric.cli.run:main", "Run a trial and exit with its verdict."),
    "import": _Lazy("fabric.cli.importing:main", "Make a trial of Conductor's files."),
    "tail": _Lazy("fabric.cli.tail:main", "Show what a run reports, live or from the store."),
    "exec": _Lazy("fabric.cli.exec:main", "Execute a command on nodes, now."),
    "nodes": _Lazy("fabric.cli.nodes:main", "List the nodes and what they do."),
    "runs": _Lazy("fabric.cli.runs:main", "List the runs, or show one."),
    "keys": _Lazy("fabric.cli.keys:main", "Invite, list and revoke who may come in."),
    "doctor": _Lazy("fabric.cli.doctor:main", "Look what is wrong with the lab."),
    "join": _Lazy("fabric.cli.join:main", "Become an operator or a viewer of a lab."),
}

PROGRAMS: Final = ("fabric", "fabric-run", "fabric-tail", "fabric-broker", "fabric-agent")
"""Each of them completes its own command line."""


class LazyGroup(Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; the import happens here."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = lazy.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table: importing every command for it would take half a second."""
        rows = [(name, lazy.short_help) for name, lazy in COMMANDS.items()]
        rows += [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group("fabric", cls=LazyGroup, context_settings=settings())
@click.version_option(__version__, "--version", message="%(prog)s %(version)s")
def main() -> None:
    """Drive one test across many machines: start together, watch live, bring the results home."""


@main.command("completion", short_help="Print the completion for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL has to read to complete the commands of the fabric.

    For bash, put this into ~/.bashrc: eval "$(fabric completion bash)"
    """
    from click.shell_completion import get_completion_class

    with reported_errors():
        found = get_completion_class(shell)
        assert found is not None, "click has all three"
        for program in PROGRAMS:
            variable = f"_{program}_COMPLETE".replace("-", "_").upper()
            click.echo(found(main, {}, program, variable).source())

"""The command ``fabric import``."""

from pathlib import Path

import click

from fabric.cli.command import Command
from fabric.cli.options import assignment, common_options, option, reported_errors, settings


@click.command("import", cls=Command, context_settings=settings("import"))
@click.argument("config", type=click.Path(path_type=Path))
@option(
    "--nodes",
    multiple=True,
    metavar="ADDRESS=NODE",
    help="The node for an address, or for a worker by its name; repeatable.",
)
@option("--worker", multiple=True, metavar="NAME", help="Only this worker; repeatable.")
@common_options
def main(
    *,
    config: Path,
    nodes: tuple[str, ...],
    worker: tuple[str, ...],
    verbose: bool,  # noqa: ARG001 - `reported_errors` looks at it
    quiet: bool,
) -> None:
    """Print the trial.toml that does what CONFIG does, a coordinator file of Conductor.

    The worker files that it names are read too.  Warnings say what is odd in them, and where the trial
    does something else; they go to stderr, and with them the name of the node for each address.
    """
    with reported_errors():
        from fabric.errors import UsageError
        from fabric.trial.importers.foreign import import_trial

        if config.suffix == ".toml":
            raise UsageError(f"{config} is a trial already", hint=f"fabric-run {config}")
        made = import_trial(config, dict(map(assignment, nodes)), [name.lower() for name in worker])
        if not quiet:
            for warning in made.trial.warnings:
                click.echo(warning.render(), err=True)
            for line in made.imported.nodes():
                click.echo(line, err=True)
        # Bytes: TOML is UTF-8, whatever the locale says.
        click.echo(made.imported.text.encode(), nl=False)

"""The subcommands of fabric-broker that copy its state directory: backup, restore, verify."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fabric.cli.command import Command
from fabric.cli.options import option, reported_errors, settings

if TYPE_CHECKING:
    from fabric.store.manifest import Manifest

_STATE_DIR = option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Of the broker.  [default: as for the broker, its settings file too]",
)


@click.command(
    "backup", cls=Command, context_settings=settings("broker_backup"), short_help="Copy the state directory."
)
@click.argument("target", type=click.Path(path_type=Path), metavar="DIR")
@_STATE_DIR
@click.pass_context
def backup(ctx: click.Context, target: Path, state_dir: Path | None) -> None:
    """Copy keys, catalogue and records into DIR, while the broker runs, and verify the copy."""
    with reported_errors():
        from fabric.store.backup import make_backup

        manifest = make_backup(_state_dir(ctx, state_dir), target)
        click.echo(f"backup: {target}, {_told(manifest)}")


@click.command(
    "restore", cls=Command, context_settings=settings("broker_restore"), short_help="Put a backup back."
)
@click.argument("source", type=click.Path(path_type=Path), metavar="DIR")
@_STATE_DIR
@click.pass_context
def restore(ctx: click.Context, source: Path, state_dir: Path | None) -> None:
    """Verify the backup in DIR and make a state directory of it; there must be none yet."""
    with reported_errors():
        from fabric.store.backup import restore_backup

        state = _state_dir(ctx, state_dir)
        manifest = restore_backup(source, state)
        click.echo(f"restored: {state}, {_told(manifest)}")


@click.command(
    "verify", cls=Command, context_settings=settings("broker_verify"), short_help="Check a backup."
)
@click.argument("source", type=click.Path(path_type=Path), metavar="DIR")
def verify(source: Path) -> None:
    """Check every file and every record of the backup in DIR."""
    with reported_errors():
        from fabric.store.backup import verify_backup

        click.echo(f"ok: {source}, {_told(verify_backup(source))}")


def _state_dir(ctx: click.Context, named: Path | None) -> Path:
    from fabric.config import state_dir

    of_broker = ctx.parent.params.get("state_dir") if ctx.parent else None
    return named or of_broker or state_dir("broker")


def _told(manifest: "Manifest") -> str:
    from fabric.report.quantities import counted, size

    taken = sum(count for count, _ in manifest.files.values())
    return f"of {manifest.made}: {counted(len(manifest.records), 'run')}, {size(taken)}"

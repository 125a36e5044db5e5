"""``fabric-run --resume RUN``: goes on with a run that was interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fabric.cli.options import option
from fabric.report.quantities import counted

if TYPE_CHECKING:
    from fabric.controller.resuming import Resumption
    from fabric.controller.trialrun import Outcome
    from fabric.trial.model import Trial
    from fabric.vault import Vault

F = TypeVar("F", bound=Callable[..., Any])


def resume_option(function: F) -> F:
    """Add ``--resume``."""
    return option(
        "--resume",
        metavar="RUN",
        is_eager=True,  # the trial need not be named then
        help="Go on with a run that was interrupted: do the repeats that have no result yet.",
    )(function)


def tell_left(outcome: "Outcome", *, local: bool, quiet: bool) -> None:
    """Say how a run is gone on with that has done only some of its repeats."""
    if outcome.left and outcome.verdict in ("interrupted", "error") and not local and not quiet:
        done = f"{counted(outcome.left, 'repeat')} of it {'has' if outcome.left == 1 else 'have'} no result"
        click.echo(f"hint: {done} yet: fabric-run --resume {outcome.run} does them", err=True)


def resumption(
    name: str,
    path: Path | None,
    broker: str | None,
    directory: Path,
    *,
    vault: "Vault",
    patience_s: float,
    quiet: bool,
) -> "Resumption":
    """Ask the broker what there is to go on with.

    Args:
        name: Of the run.
        path: Of its trial file; None: where it was.
        broker: The URL that the user gave, if any.
        directory: Of bundles.
        vault: Where its secrets are looked for; they were not kept.
        patience_s: How long to wait for the broker.
        quiet: Do not say what is waited for.
    """
    from fabric.controller.connection import Connection
    from fabric.controller.resuming import find_resumption
    from fabric.keys import find_operator_access

    def tell(words: str) -> None:
        if not quiet:
            click.echo(words, err=True)

    connection = Connection(
        find_operator_access(broker), program="fabric-run", patience_s=patience_s, break_patience_s=patience_s
    )
    try:
        connection.wait_up()
        return find_resumption(
            connection,
            name,
            lambda file: _open(file, path, vault),
            directory,
            patience_s=patience_s,
            tell=tell,
        )
    finally:
        connection.close()


def _open(file: str, path: Path | None, vault: "Vault") -> "Trial":
    """Read the trial: from the file that the user names, or from where the run had it.

    Raises:
        UsageError: If it is not there.
    """
    from fabric.errors import UsageError
    from fabric.trial.importers.foreign import open_trial

    if path is None and not Path(file).is_file():
        raise UsageError(
            f"the trial file of the run, `{file}`, is not here",
            hint="go to where the run was started, or name it: fabric-run --resume RUN TRIAL",
        )
    return open_trial(path or Path(file), {}, vault.why_not)[0]

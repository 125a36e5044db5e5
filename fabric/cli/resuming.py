"""``fabric-run --resume RUN``: goes on with a run that was interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from fabric.cli.options import option

if TYPE_CHECKING:
    from fabric.controller.resuming import Resumption
    from fabric.trial.model import Trial
    from fabric.vault import Vault

F = TypeVar("F", bound=Callable[..., Any])

_OTHERS: Final = ("nodes", "phases", "only", "sets", "repeat")
"""Options that would make another run of it."""


def resume_option(function: F) -> F:
    """Add ``--resume``."""
    return option(
        "--resume",
        metavar="RUN",
        is_eager=True,  # the trial need not be named then
        help="Go on with a run that was interrupted: do the repeats that have no result yet.",
    )(function)


def check_resume(context: click.Context, *, local: bool, plan: bool) -> None:
    """Refuse what does not go with ``--resume``."""
    if context.params["resume"] is None:
        return
    if local:
        raise click.UsageError("--resume: a private fabric keeps nothing, so --local has no run to resume")
    if plan:
        raise click.UsageError("--resume goes on with a run; --plan does nothing")
    for parameter in context.command.params:
        if parameter.name in _OTHERS and context.params[parameter.name]:
            raise click.UsageError(
                f"--resume goes on as the run was begun; {parameter.opts[0]} belongs to a new one"
            )


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

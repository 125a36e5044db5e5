"""The option ``--secrets``, which every reader of a trial that is run has."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fabric.cli.options import option

if TYPE_CHECKING:
    from fabric.vault import Vault

F = TypeVar("F", bound=Callable[..., Any])


def secrets_option(function: F) -> F:
    """Add ``--secrets``; it is read first, for ``--check`` wants it."""
    return option(
        "--secrets",
        "secrets",
        type=click.Path(path_type=Path),
        metavar="FILE",
        is_eager=True,
        help="Values for secret:NAME: a TOML file of mode 0600, or a directory with a file for each.  "
        "Others are looked for in the variables FABRIC_SECRET_NAME.",
    )(function)


def open_vault(path: Path | None) -> "Vault":
    """Return where secrets are looked for."""
    from fabric.vault import Vault

    return Vault.open(path)

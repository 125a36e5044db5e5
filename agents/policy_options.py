"""The options of ``fabric-agent`` that restrict what steps may do on its machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from fabric.cli.options import option

F = TypeVar("F", bound=Callable[..., Any])

_PATHS_HELP: Final = (
    "Steps may execute, put and fetch only this and what is below it: a path, or a pattern with * ? [ ] **; "
    "repeatable."
)
_PUT_HELP: Final = "A put may write into the run's own directory only."


def policy_options(function: F) -> F:
    """Add ``--allow-user``, ``--allow-path``, ``--read-only-put`` and ``--policy``."""
    for one in reversed(
        (
            option(
                "--allow-user",
                multiple=True,
                metavar="USER",
                help="Steps may run as this user only; repeatable.",
            ),
            option("--allow-path", multiple=True, metavar="PATH", help=_PATHS_HELP),
            option("--read-only-put", is_flag=True, help=_PUT_HELP),
            option(
                "--policy",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="These rules from a TOML file, below [policy]; options win over it.",
            ),
        )
    ):
        function = one(function)
    return function

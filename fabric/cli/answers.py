"""What `fabric-run` leaves for programs beside the bundle: results on stdout, and what GitHub reads."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Literal, TextIO

import click

from fabric.errors import FabricError

if TYPE_CHECKING:
    from fabric.controller.trialrun import Outcome
    from fabric.trial.model import Trial

Format = Literal["text", "conductor-json"]
FORMATS: Final = ("text", "conductor-json")

Answer = Callable[["Outcome", "Trial"], None]


@contextmanager
def answering(form: str) -> Iterator[Answer]:
    """Yield what is to be called with the outcome; it is told when the block ends, however that is.

    With another format than text stdout has the result alone: what is shown in the block goes to stderr.
    An error that ends the block is told GitHub, too.
    """
    outcomes: list[tuple[Outcome, Trial]] = []
    with ExitStack() as stack:
        stdout = stack.enter_context(_moved_stdout()) if form == "conductor-json" else None
        try:
            with _commands_stopped():
                yield lambda outcome, trial: outcomes.append((outcome, trial))
        except FabricError as error:
            tell_refusal(error)
            raise
        finally:
            for outcome, trial in outcomes:
                if stdout is not None and outcome.bundle is not None:
                    _write_conductor(outcome, trial, stdout)
                _tell_github(outcome, trial)


@contextmanager
def _moved_stdout() -> Iterator[TextIO]:
    """Let everything that is shown go to stderr, whoever writes it, and yield the real stdout."""
    sys.stdout.flush()
    number = sys.stdout.fileno()
    kept = os.dup(number)
    try:
        os.dup2(sys.stderr.fileno(), number)
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as real:
            yield real
    finally:
        sys.stdout.flush()
        os.dup2(kept, number)
        os.close(kept)


@contextmanager
def _commands_stopped() -> Iterator[None]:
    """Keep GitHub from taking what a node prints for a command to its runner.

    ``##[...]`` counts anywhere in a line, and a line of a node is not to set variables here.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    import secrets

    token = secrets.token_hex(16)
    click.echo(f"::stop-commands::{token}", err=True)
    try:
        yield
    finally:
        sys.stdout.flush()
        click.echo(f"::{token}::", err=True)


def _write_conductor(outcome: "Outcome", trial: "Trial", stdout: TextIO) -> None:
    import json

    from fabric.report.conductor import conductor_document

    assert outcome.bundle is not None
    document = conductor_document(outcome.result, outcome.bundle, trial.names)
    json.dump(document, stdout, indent=2, ensure_ascii=False)
    stdout.write("\n")
    stdout.flush()


def _tell_github(outcome: "Outcome", trial: "Trial") -> None:
    tell_warnings(trial)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from fabric.report.github import report

        for line in report(outcome.result, outcome.bundle, os.environ):
            click.echo(line, err=True)


def tell_refusal(error: FabricError) -> None:
    """Show on GitHub why nothing was run."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from fabric.report.github import refuse

        for line in refuse(error, os.environ):
            click.echo(line, err=True)


def tell_warnings(trial: "Trial") -> None:
    """Show on GitHub what is doubtful about a trial."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from fabric.report.github import annotate, diagnostic_annotations

        for line in annotate(diagnostic_annotations(trial.warnings), os.environ):
            click.echo(line, err=True)  # the runner reads it as well, and stdout is a result

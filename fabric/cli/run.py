"""The command ``fabric-run``."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fabric.cli.answers import FORMATS, answering
from fabric.cli.checking import check_option, explain_option, only_trial
from fabric.cli.command import Command
from fabric.cli.conflicts import check_options
from fabric.cli.durations import patience_option, wait_option, waiting
from fabric.cli.options import (
    assignment,
    broker_option,
    common_options,
    option,
    read_seconds,
    reported_errors,
    settings,
)
from fabric.cli.planning import Wishes, plan_options, show_plan
from fabric.cli.resuming import resume_option, resumption, tell_left
from fabric.cli.secrets import open_vault, secrets_option
from fabric.protocol.limits import LEASE_S
from fabric.protocol.numbers import MAX_COUNT

if TYPE_CHECKING:
    from fabric.controller.local import LocalFabric
    from fabric.trial.model import Trial
    from fabric.vault import Vault


@click.command("fabric-run", cls=Command, context_settings=settings("run"))
@click.argument("trial", type=click.Path(path_type=Path), nargs=-1, metavar="TRIAL", callback=only_trial)
@check_option
@explain_option
@plan_options
@resume_option
@broker_option
@option("--local", is_flag=True, help="On this machine: a private broker, and an agent for every node.")
@option(
    "--nodes",
    multiple=True,
    metavar="ROLE=SPEC",
    help="Other nodes for a role, as in client=lab[1-4]; repeatable.",
)
@option("--phases", metavar="PHASE,...", help="Only these phases.  The reset is always done.")
@option(
    "--only",
    multiple=True,
    metavar="NAME=VALUE,...",
    help="Only the cells of the matrix with these values, as in streams=8 or cell=3; repeatable.",
)
@option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE,...",
    help="Other values for a variable of [matrix] or [env]; repeatable.",
)
@secrets_option
@option("--repeat", type=click.IntRange(1, MAX_COUNT), help="How often; default: as the trial says.")
@option(
    "--ui",
    type=click.Choice(["auto", "live", "plain", "jsonl"]),
    default="auto",
    show_default=True,
    help="What is shown: live is a table below the lines, auto is live on a terminal, else plain.",
)
@option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="What stdout has in the end: conductor-json is Conductor's JSON and nothing else.",
)
@option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Directory for bundles.",
)
@patience_option
@wait_option
@option("--lease", type=float, callback=read_seconds, default=LEASE_S, hidden=True)
@common_options
def main(
    *,
    trial: Path | None,
    resume: str | None,
    plan: bool,
    as_json: bool,
    broker: str | None,
    local: bool,
    nodes: tuple[str, ...],
    phases: str | None,
    only: tuple[str, ...],
    sets: tuple[str, ...],
    secrets: Path | None,
    repeat: int | None,
    ui: str,
    form: str,
    output: Path,
    patience: float,
    wait: float | None,
    lease: float,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run TRIAL (a trial.toml, or a conductor.cfg) on its nodes, leave a bundle, and exit with the verdict.

    \b
    0 pass   1 fail   2 the command line or the trial is wrong   3 error of the fabric or the lab
    4 invalid: it ran, but cannot be trusted   5 dirty: a reset failed   130 interrupted

    Ctrl-C once ends the phase, collects and resets; twice resets only; three times leaves.
    """  # noqa: D301 - click wants the character, not the two that a raw string has
    check_options(click.get_current_context())
    with reported_errors(), ExitStack() as stack:
        private = _begin(stack, is_private=local and not plan, verbose=verbose, quiet=quiet)
        from fabric.cli.watching import conclude, watching
        from fabric.controller.trialrun import Options, run_trial
        from fabric.trial.plan import select_phases

        answer = stack.enter_context(answering(form))
        vault, old = open_vault(secrets), None
        if resume:
            old = resumption(resume, trial, broker, output, vault=vault, patience_s=patience, quiet=quiet)
        loaded = old.trial if old else _load(trial, nodes, sets, vault)
        wanted = old.phases if old else loaded.phases if phases is None else phases.split(",")
        selected = select_phases(wanted, loaded.phases)
        if plan:
            _warn(loaded, quiet=quiet)
            show_plan(loaded, Wishes(selected, repeat, only, broker, local, patience), as_json=as_json)
            return
        options = Options(
            broker=broker, local=private, repeats=repeat, only=only, directory=output, patience_s=patience,
            wait=waiting(wait), lease_s=lease, resumes=old, secrets=vault.values,
        )  # fmt: skip
        with watching(ui, loaded, verbose=verbose, quiet=quiet) as watch:
            _warn(loaded, quiet=quiet)
            outcome = run_trial(loaded, selected[:-1], options, watch)  # the reset is done anyway
            conclude(outcome, watch, as_json=ui == "jsonl")
        answer(outcome, loaded)
        tell_left(outcome, local=local, quiet=quiet)
        sys.exit(outcome.exit_code)


def _begin(stack: ExitStack, *, is_private: bool, verbose: bool, quiet: bool) -> "LocalFabric | None":
    """Start a broker of our own before the imports that follow: they take as long as its start."""
    from fabric.log import set_up_command

    set_up_command(verbose=verbose, quiet=quiet)
    if not is_private:
        return None
    from fabric.controller.local import LocalFabric

    return stack.enter_context(LocalFabric())


def _load(path: Path | None, nodes: "Sequence[str]", sets: "Sequence[str]", vault: "Vault") -> "Trial":
    """Read what is to be run, with other values for some variables and other nodes for some roles."""
    from fabric.trial.cells import set_variables
    from fabric.trial.importers.foreign import open_trial
    from fabric.trial.plan import override_nodes

    assert path is not None, "the command line has one: see only_trial"
    trial, others = open_trial(path, dict(map(assignment, nodes)), vault.why_not)
    return override_nodes(set_variables(trial, sets), others)


def _warn(trial: "Trial", *, quiet: bool) -> None:
    for warning in trial.warnings:
        if not quiet:
            click.echo(warning.render(), err=True)

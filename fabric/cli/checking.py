"""What ``fabric-run --check`` and ``--explain`` do instead of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fabric.cli.command import check_text
from fabric.report.quantities import counted

if TYPE_CHECKING:
    from fabric.trial.model import Trial
    from fabric.vault import Vault


def explain_option(command: Any) -> Any:
    """Add ``--explain [CODE]``, which explains a code, or lists all of them, and exits."""
    return click.option(
        "--explain",
        is_flag=False,
        flag_value="",
        default=None,
        metavar="[CODE]",
        is_eager=True,
        expose_value=False,
        allow_from_autoenv=False,
        callback=_explain,
        help="Say what a code means, as in E012, with examples; without a code, list them.",
    )(command)


def check_option(command: Any) -> Any:
    """Add ``--check``, which reads the trials and exits."""
    return click.option(
        "--check",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        allow_from_autoenv=False,
        callback=_remember,
        help="Only read the file, or several; exit with 0 if nothing is wrong, else with 2.",
    )(command)


def only_trial(ctx: click.Context, parameter: click.Parameter, paths: Sequence[Path]) -> Path | None:
    """Return the file that is to be run, or check all of them and exit; a resumed run knows its own."""
    if not paths and ctx.params.get("resume"):
        return None
    if not paths:
        raise click.MissingParameter(ctx=ctx, param=parameter)
    if ctx.meta.get(__name__):
        from fabric.cli.options import reported_errors

        with reported_errors():
            ctx.exit(check_files(paths, ctx.params.get("secrets")))
    if len(paths) > 1:
        raise click.UsageError("one trial is run at a time; --check takes several", ctx)
    check_text(str(paths[0]), ctx)  # it is told, and named in the bundle
    return paths[0]


def check_files(paths: Sequence[Path], secrets: Path | None = None) -> int:
    """Read trials, print what is wrong with them, and return the exit code.

    Args:
        paths: The files.
        secrets: Where the values of their secrets are, besides the environment.
    """
    from fabric.cli.answers import tell_refusal, tell_warnings
    from fabric.cli.options import print_error
    from fabric.cli.secrets import open_vault
    from fabric.errors import FabricError

    code, vault = 0, open_vault(secrets)
    for path in paths:
        try:
            trial = _read(path, vault)
            summary = summarize(trial)
        except FabricError as error:
            print_error(error)
            tell_refusal(error)
            code = error.exit_code
            continue
        for warning in trial.warnings:
            click.echo(warning.render(), err=True)
        tell_warnings(trial)
        click.echo(f"{path}: ok: {summary}")
    return code


def _read(path: Path, vault: "Vault") -> "Trial":
    """Read a trial; that a secret is not here is a warning: whoever runs it may have it.

    Raises:
        UsageError: If something is wrong with it.
    """
    from dataclasses import replace

    from fabric.trial.diagnostics import TrialError, in_order
    from fabric.trial.importers.foreign import open_trial

    trial, _ = open_trial(path, {})
    try:
        open_trial(path, {}, vault.why_not)
    except TrialError as error:
        lacking = [replace(one, is_mild=True) for one in error.diagnostics if one.is_error]
        return replace(trial, warnings=in_order([*trial.warnings, *lacking]))
    return trial


def summarize(trial: "Trial") -> str:
    """Return what a trial consists of: ``24 cells, 5 repeats, 3 phases, 2 roles, 7 steps``."""
    from fabric.trial.cells import cells_of
    from fabric.trial.secrets import secrets_of

    used = {step.phase for step in trial.steps}
    parts = [
        counted(len(cells_of(trial)), "cell") if trial.matrix else "",
        counted(trial.repeat, "repeat")
        + (f" after {counted(trial.warmup, 'warm-up')}" if trial.warmup else ""),
        counted(len(used), "phase"),
        counted(len(trial.roles), "role"),
        counted(len(trial.steps), "step"),
        counted(sum(len(step.metrics) for step in trial.steps), "metric"),
        counted(len(trial.checks), "check"),
        counted(len(trial.warnings), "warning"),
    ]
    secrets = secrets_of(trial)
    parts.append(f"{counted(len(secrets), 'secret')} ({' '.join(secrets)})")
    return ", ".join(part for part in parts if part and not part.startswith("0 "))


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[__name__] = value


def _explain(ctx: click.Context, _: click.Parameter, code: str | None) -> None:
    if code is None or ctx.resilient_parsing:
        return
    from fabric.cli.options import reported_errors
    from fabric.trial.explain import explain, explanations

    with reported_errors():
        if code:
            click.echo(explain(code).render())
        else:
            for one in explanations().values():
                click.echo(f"{one.code}  {one.title}")
    ctx.exit()

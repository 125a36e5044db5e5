"""Which options of ``fabric-run`` do not go together."""

from typing import Final

import click
from click.core import ParameterSource

_OTHERS: Final = ("nodes", "phases", "only", "sets", "repeat")
"""Options that would make another run of one that is resumed."""


def check_options(context: click.Context) -> None:
    """Refuse what would have no effect, or contradicts itself.

    Raises:
        click.UsageError: If there is such a thing.
    """
    told = context.params
    if told["as_json"] and not told["plan"]:
        raise click.UsageError("--json belongs to --plan; a run is shown as JSON by --ui jsonl")
    # A variable names the lab of whoever works here; --local is then meant to be an exception to it.
    if told["local"] and context.get_parameter_source("broker") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--local has a broker of its own, so --broker does not go with it")
    if told["resume"] is not None:
        _check_resume(context)


def _check_resume(context: click.Context) -> None:
    if not context.params["resume"]:
        raise click.UsageError("--resume: the name of the run is empty")
    if context.params["local"]:
        raise click.UsageError("--resume: a private fabric keeps nothing, so --local has no run to resume")
    if context.params["plan"]:
        raise click.UsageError("--resume goes on with a run; --plan does nothing")
    for parameter in context.command.params:
        if parameter.name in _OTHERS and context.params[parameter.name]:
            raise click.UsageError(
                f"--resume goes on as the run was begun; {parameter.opts[0]} belongs to a new one"
            )

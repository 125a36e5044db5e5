"""``fabric doctor``: what is wrong with the lab."""

import click

from fabric.cli.command import Command
from fabric.cli.options import broker_option, common_options, option, reported_errors, settings


@click.command("doctor", cls=Command, context_settings=settings("doctor"))
@option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@broker_option
@common_options
def main(*, as_json: bool, broker: str | None, verbose: bool, quiet: bool) -> None:
    """Look at this machine, the broker and its nodes, and say what is wrong and what to do.

    A line for each thing: ok, warn or bad.  Exits with 0, or with 3 if something is bad.  On a node itself
    `fabric-agent --doctor` sees more.
    """
    with reported_errors():
        from fabric.cli.findings import tell
        from fabric.doctor.lab import look_at_lab
        from fabric.log import set_up

        set_up("debug" if verbose else "error")
        raise SystemExit(tell(look_at_lab(broker), as_json=as_json, quiet=quiet))

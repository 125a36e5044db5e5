"""The command fabric-broker."""

from functools import partial
from pathlib import Path

import click

from fabric.cli.options import common_options, option, reported_errors, settings


@click.command("fabric-broker", context_settings=settings("broker"))
@option(
    "--listen",
    default="tcp://127.0.0.1:7400",
    metavar="URL",
    show_default=True,
    help="Where to listen: this port and the three after it; port 0 takes four free ones.  "
    "tcp://0.0.0.0:7400 lets other machines in.",
)
@option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keys, catalogue and records.  [default: testfabric/broker in the XDG state directory]",
)
@click.option("--operator-file", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
@click.option("--announce-fd", type=click.IntRange(min=3), hidden=True)
@click.option("--lifeline-fd", type=click.IntRange(min=0), hidden=True)
@click.option("--ephemeral", is_flag=True, hidden=True)
@common_options
def main(
    listen: str,
    state_dir: Path | None,
    *,
    operator_file: Path | None,
    announce_fd: int | None,
    lifeline_fd: int | None,
    ephemeral: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Serve the lab: nodes and operators connect to the broker, and to nothing else.

    Prints the line that starts an agent on a node, then serves until it is interrupted.
    """
    with reported_errors():
        from broker.service import Request, serve
        from fabric.log import level_for, set_up

        set_up(level_for(verbose - quiet))
        request = Request(
            listen=listen,
            state_dir=state_dir,
            operator_file=operator_file,
            announce_fd=announce_fd,
            lifeline_fd=lifeline_fd,
            ephemeral=ephemeral,
        )
        serve(request, partial(_say, quiet=quiet))


def _say(text: str, for_people: bool, *, quiet: bool) -> None:
    if not (for_people and quiet):
        click.echo(text, err=for_people)

"""The command fabric-broker."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker.copying import backup, restore, verify
from fabric.cli.command import Group
from fabric.cli.options import option, reported_errors, settings
from fabric.cli.service import (
    MAX_DESCRIPTOR,
    config_options,
    ephemeral_option,
    log_options,
    say_checked,
    set_up_logs,
)

if TYPE_CHECKING:
    from fabric.settings import Sections


def _sections() -> "Sections":
    from broker.settings import SECTIONS

    return SECTIONS


@click.group("fabric-broker", cls=Group, context_settings=settings("broker"), invoke_without_command=True)
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
@option(
    "--keep",
    metavar="AGE,SIZE",
    help='Delete the oldest runs beyond that: "14d", "20GB", "14d,20GB".  [default: keep all]',
)
@click.option("--operator-file", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
@click.option("--announce-fd", type=click.IntRange(3, MAX_DESCRIPTOR), hidden=True)
@click.option("--lifeline-fd", type=click.IntRange(0, MAX_DESCRIPTOR), hidden=True)
@click.option(
    "--doctor",
    is_flag=True,
    allow_from_autoenv=False,
    help="Only look at this machine, and say what is wrong and what to do.",
)
@ephemeral_option
@config_options("broker", _sections)
@log_options
def main(
    listen: str,
    state_dir: Path | None,
    *,
    keep: str | None,
    operator_file: Path | None,
    announce_fd: int | None,
    lifeline_fd: int | None,
    doctor: bool,
    ephemeral: bool,
    config: Path | None,
    check_config: bool,
    **logs: Any,
) -> None:
    """Serve the lab: nodes and operators connect to the broker, and to nothing else.

    Prints the line that starts an agent on a node, then serves until it is interrupted.
    """
    if click.get_current_context().invoked_subcommand:
        return
    with reported_errors():
        from broker.retention import parse_keep

        kept = parse_keep(keep) if keep else None
        if doctor:
            raise SystemExit(_look(listen, state_dir, quiet=logs["quiet"]))
        from broker.service import Request, serve, understood

        request = Request(
            listen=listen,
            state_dir=state_dir,
            operator_file=operator_file,
            announce_fd=announce_fd,
            lifeline_fd=lifeline_fd,
            keep=kept,
            ephemeral=ephemeral,
        )
        if check_config:
            understood(request)
            say_checked(config)
            return
        set_up_logs(**logs)
        serve(request, partial(_say, quiet=logs["quiet"]))


for _command in (backup, restore, verify):
    main.add_command(_command)


def _look(listen: str, directory: Path | None, *, quiet: bool) -> int:
    """Print what the doctor finds on this machine; return the exit code."""
    from broker.doctor import look_at_broker
    from fabric.cli.findings import tell
    from fabric.config import parse_listen_url, state_dir

    return tell(look_at_broker(directory or state_dir("broker"), parse_listen_url(listen)), quiet=quiet)


def _say(text: str, for_people: bool, *, quiet: bool) -> None:
    if not (for_people and quiet):
        click.echo(text, err=for_people)

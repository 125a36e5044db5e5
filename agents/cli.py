"""The command ``fabric-agent``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from agents.policy_options import policy_options
from fabric.cli.command import Command
from fabric.cli.options import option, read_seconds, reported_errors, settings
from fabric.cli.service import (
    MAX_DESCRIPTOR,
    config_options,
    ephemeral_option,
    log_options,
    say_checked,
    section_of,
    set_up_logs,
)
from fabric.errors import UsageError

if TYPE_CHECKING:
    from fabric.settings import Sections

ADDRESS_HELP: Final = "Address of this machine in a network, for `network` in trials; repeatable."


def _sections() -> "Sections":
    from agents.settings import SECTIONS

    return SECTIONS


@click.command("fabric-agent", cls=Command, context_settings=settings("agent"))
@click.argument("broker", metavar="[URL]", envvar="FABRIC_BROKER", required=False)
@option("--join", metavar="TOKEN", help="Token that the broker printed; needed at the first start only.")
@option("--name", help="Name of this node.  Default: the machine's host name.")
@option(
    "--label", "labels", metavar="LABEL", multiple=True, help="A word by which trials find it; repeatable."
)
@option("--addr", "networks", metavar="NAME=ADDRESS", multiple=True, help=ADDRESS_HELP)
@option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keys and journals.  [default: testfabric/agent-NAME in the XDG state directory]",
)
@option(
    "--arming",
    type=click.Choice(("link", "exec", "gate")),
    default="link",
    show_default=True,
    help="How far a step is brought before it starts: its libraries are loaded, it is executed, or neither.",
)
@option(
    "--spin/--no-spin",
    default=True,
    show_default=True,
    help="Be awake in the last half millisecond before a start, to be on time to the microsecond.",
)
@policy_options
@option("--lifeline-fd", type=click.IntRange(0, MAX_DESCRIPTOR), hidden=True)
@click.option(
    "--doctor",
    is_flag=True,
    allow_from_autoenv=False,
    help="Only look at this node, and say what is wrong and what to do.",
)
@ephemeral_option
@option(  # lease, grace, silence in seconds
    "--launcher-patience", type=(float, float, float), callback=read_seconds, hidden=True
)
@option("--disk-patience", type=float, callback=read_seconds, hidden=True)  # seconds
@config_options("agent", _sections)
@log_options
def main(
    *,
    broker: str | None,
    join: str | None,
    name: str | None,
    labels: tuple[str, ...],
    networks: tuple[str, ...],
    state_dir: Path | None,
    arming: Literal["link", "exec", "gate"],
    spin: bool,
    lifeline_fd: int | None,
    doctor: bool,
    ephemeral: bool,
    launcher_patience: tuple[float, float, float] | None,
    disk_patience: float | None,
    config: Path | None,
    check_config: bool,
    allow_user: tuple[str, ...],
    allow_path: tuple[str, ...],
    read_only_put: bool,
    policy: Path | None,
    **logs: Any,
) -> None:
    """Run on this machine what the fabric's broker at URL (tcp://host:7400) tells it to run.

    The broker prints the exact line that starts an agent.  An agent reconnects for ever; Ctrl-C or
    TERM ends it and all that it has started.  HUP makes it the version that is installed now, while that
    goes on.
    """
    with reported_errors():
        if doctor:
            raise SystemExit(_look(broker, name, state_dir, quiet=logs["quiet"]))
        from agents.launching import Arming, Patience
        from agents.policy_settings import read_policy
        from agents.run import Options, run_agent, understood

        told = {"allow_user": allow_user, "allow_path": allow_path, "read_only_put": read_only_put}
        rules = read_policy(told, policy, section_of(click.get_current_context(), "policy"))
        patience = Patience(*launcher_patience) if launcher_patience else Patience()
        options = Options(
            url=_said(broker),
            join=join,
            name=name,
            labels=labels,
            addresses=networks,
            state_dir=state_dir,
            lifeline_fd=lifeline_fd,
            ephemeral=ephemeral,
            arming=Arming(arming, spin, rules),
            patience=replace(patience, disk_s=disk_patience) if disk_patience else patience,
        )
        if check_config:
            understood(options)
            say_checked(config, policy)
            return
        set_up_logs(**logs)
        run_agent(options)


def _said(broker: str | None) -> str:
    if broker is None:
        hint = "the URL behind fabric-agent, or broker = under [agent] in its settings"
        raise UsageError("where the broker is has to be said", hint=hint)
    return broker


def _look(broker: str | None, name: str | None, state_dir: Path | None, *, quiet: bool) -> int:
    """Print what the doctor finds on this node; return the exit code."""
    from agents.doctor import look_at_node
    from agents.run import directory_of, name_of
    from fabric.cli.findings import tell
    from fabric.config import parse_url

    address = parse_url(broker) if broker else None
    return tell(look_at_node(directory_of(state_dir, name_of(name)), address), quiet=quiet)

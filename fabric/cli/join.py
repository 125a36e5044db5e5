"""``fabric join``: become an operator or a viewer of a lab."""

import click

from fabric.cli.command import Command
from fabric.cli.options import common_options, option, reported_errors, settings


@click.command("join", cls=Command, context_settings=settings("join"))
@click.argument("url", envvar="FABRIC_BROKER")
@click.argument("token", envvar="FABRIC_JOIN_TOKEN")
@option("--name", default="", metavar="NAME", help="Name to go by.  Default: the invitation's, or the login.")
@option("--replace", is_flag=True, help="Take the place of a key that this user has for the broker.")
@common_options
def main(*, url: str, token: str, name: str, replace: bool, verbose: bool, quiet: bool) -> None:
    """Make this user an operator or a viewer of the broker at URL, with the TOKEN of an invitation.

    `fabric keys invite` prints this command.  The key is made here and stays here.
    """
    with reported_errors():
        from fabric.config import parse_url
        from fabric.controller.enrolling import enrol
        from fabric.keys import JoinToken, operator_access_path
        from fabric.log import level_for, set_up

        set_up(level_for(verbose - quiet))
        address = parse_url(url)
        access, role = enrol(address, JoinToken.parse(token), name, replace=replace)
        if not quiet:
            click.echo(f"joined as {role} {access.name}; the key is in {operator_access_path(address)}")

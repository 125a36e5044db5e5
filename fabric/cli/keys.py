"""``fabric keys``: who may come in, and as what."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from fabric.cli.command import Group
from fabric.cli.durations import read_days
from fabric.cli.options import broker_option, common_options, option, reported_errors, settings

if TYPE_CHECKING:
    from fabric.config import Address
    from fabric.keys import JoinToken

Role = Literal["node", "operator", "viewer"]
ROLES = ("node", "operator", "viewer")

MAX_USES: Final = 1_000_000
"""Most uses of one invitation; who wants more wants any number."""


@click.group("keys", cls=Group, context_settings=settings("keys"))
def main() -> None:
    """Invite nodes, operators and viewers, list their keys, end and renew them."""


@main.command("init", context_settings=settings("keys_init"), short_help="Make the keys of a broker.")
@option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Of the broker.  [default: testfabric/broker in the XDG state directory]",
)
@common_options
def init(*, state_dir: Path | None, verbose: bool, quiet: bool) -> None:
    """Make the broker's key pair before its first start, and print its public key.

    fabric-broker does it by itself if it finds none.  A key that is there is kept.
    """
    with reported_errors():
        from fabric import config
        from fabric.keys import broker_keys
        from fabric.log import level_for, set_up
        from fabric.store.state import StateDirectory

        set_up(level_for(verbose - quiet))
        directory = state_dir or config.state_dir("broker")
        with StateDirectory(directory):
            keys, made = broker_keys(directory)
        click.echo(keys.public.decode())
        if not quiet:
            click.echo(f"{'made' if made else 'was there already'}: {directory / 'broker.key'}", err=True)


@main.command("invite", context_settings=settings("keys_invite"), short_help="Print a one-time token.")
@option("--role", type=click.Choice(ROLES), required=True, help="What who comes with it may be.")
@option("--name", default="", metavar="NAME", help="The only name that it is good for.")
@option(
    "--expires",
    "expires_s",
    default="1h",
    show_default=True,
    metavar="DURATION",
    callback=read_days,
    help="How long it can be used.",
)
@option(
    "--uses", type=click.IntRange(0, MAX_USES), default=1, show_default=True, help="How often; 0: any number."
)
@option("--json", "as_json", is_flag=True, help="JSON, for programs.")
@broker_option
@common_options
def invite(
    *,
    role: Role,
    name: str,
    expires_s: float,
    uses: int,
    as_json: bool,
    broker: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Print the command with which a node, an operator or a viewer enrols, once, within an hour.

    The token in it carries the broker's public key, so nobody on the way can play broker.  It is as good as a
    password until it is used: give it to one person, by a way that you trust.
    """
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.config import parse_url
        from fabric.controller import keyring
        from fabric.keys import find_operator_access

        access = find_operator_access(broker)
        with attached("fabric-keys", broker, verbose=verbose, quiet=quiet) as connection:
            token = keyring.invite(
                connection, access.broker_public, role, name=name, expires_s=expires_s, uses=uses
            )
        line = _line(role, parse_url(access.url), token, name)
        if as_json:
            told = {"role": role, "name": name, "url": access.url, "token": token.text, "command": line}
            click.echo(json.dumps(told))
        else:
            click.echo(line)


@main.command("list", context_settings=settings("keys_list"), short_help="List keys and invitations.")
@option("--all", "with_all", is_flag=True, help="Show what was revoked, used or has expired, too.")
@option("--json", "as_json", is_flag=True, help="JSON, for programs: one object a line.")
@broker_option
@common_options
def list_(*, with_all: bool, as_json: bool, broker: str | None, verbose: bool, quiet: bool) -> None:
    """List whose keys may connect, and the invitations that are open."""
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.keytable import as_dicts, standing, tables
        from fabric.controller.keyring import list_keys

        with attached("fabric-keys", broker, verbose=verbose, quiet=quiet) as connection:
            ring = list_keys(connection)
            now_ns = connection.fabric_ns()
        shown = ring if with_all else standing(ring, now_ns)
        for line in map(json.dumps, as_dicts(shown)) if as_json else tables(shown, now_ns):
            click.echo(line)


@main.command("revoke", context_settings=settings("keys_revoke"), short_help="End keys and invitations.")
@click.argument("what", nargs=-1, required=True, metavar="NAME|KEY|INVITATION...")
@option("--role", type=click.Choice(ROLES), help="What it is, where a name is of several.")
@option("--yes", is_flag=True, help="Also your own key, or that of the last operator.")
@broker_option
@common_options
def revoke(
    *, what: tuple[str, ...], role: str | None, yes: bool, broker: str | None, verbose: bool, quiet: bool
) -> None:
    """End keys by name, or keys and invitations by their first six characters or more, as they are listed.

    At once, for connections that stand, too.  What a node ran, its lease ends; it can join again with a new
    key and a new token.
    """
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.cli.keytable import ways_back
        from fabric.controller import keyring
        from fabric.keys import find_operator_access

        own = find_operator_access(broker).keys.public.decode()
        with attached("fabric-keys", broker, verbose=verbose, quiet=quiet) as connection:
            ring = keyring.list_keys(connection)
            found = [thing for word in what for thing in keyring.named(ring, word, role)]
            if not yes:
                keyring.check_revocation(ring, found, own, connection.fabric_ns())
            warnings = list(ways_back(ring, found, connection.fabric_ns()))
            keyring.revoke(connection, found, own)
        if not quiet:
            for thing in found:
                what_it_was = "key" if hasattr(thing, "public_key") else "invitation"
                click.echo(f"revoked the {what_it_was} of {thing.role} {thing.name or '(any name)'}")
            for warning in warnings:
                click.echo(warning, err=True)


@main.command("rotate", context_settings=settings("keys_rotate"), short_help="Replace keys by new ones.")
@click.argument("nodes", nargs=-1, metavar="NODE...")
@option(
    "--overlap",
    "overlap_s",
    default="1h",
    show_default=True,
    metavar="DURATION",
    callback=read_days,
    help="How long the old key stands still.",
)
@broker_option
@common_options
def rotate(
    *, nodes: tuple[str, ...], overlap_s: float, broker: str | None, verbose: bool, quiet: bool
) -> None:
    """Give this user a new key; or have each NODE, which may be a range such as lab[1-4], make itself one.

    Secret keys never leave the machine on which they were made.  Until the overlap is over the old key works,
    too: on another machine to which its file was copied, for example.
    """
    with reported_errors():
        from fabric.cli.attach import attached
        from fabric.controller import keyring
        from fabric.controller.lookup import named_nodes
        from fabric.keys import find_operator_access, find_operator_path

        wanted = named_nodes(",".join(nodes)) if nodes else ()
        access, path = find_operator_access(broker), find_operator_path(broker)
        with attached("fabric-keys", broker, verbose=verbose, quiet=quiet) as connection:
            for node in wanted:
                keyring.rotate_node(connection, node, overlap_s)
            if not nodes:
                keyring.rotate(connection, access, path, overlap_s)
        if not quiet:
            whose = f"new key of {access.name}: {path}" if not nodes else f"asked {', '.join(wanted)}"
            click.echo(whose)


def _line(role: Role, address: "Address", token: "JoinToken", name: str) -> str:
    named = f" --name {name}" if name else ""
    if role == "node":
        return f"fabric-agent {address} --join {token.text}{named}"
    return f"fabric join {address} {token.text}"

"""One life of a broker, from its start to its end: what the command does."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from broker.home import Home
from broker.identity import give_access
from broker.retention import Keep
from broker.server import Server
from fabric.clock import wall_ns
from fabric.config import Address, advertised_host, parse_listen_url, state_dir
from fabric.errors import UsageError
from fabric.keys import JoinToken, operator_access_path
from fabric.log import get_logger
from fabric.notify import Notifier, is_kept, tell_where_it_hangs
from fabric.transport import check_descriptor_limit, raise_descriptor_limit

log = get_logger()

Say = Callable[[str, bool], None]
"""Prints a text; True: it is for people, not a result."""

_STDOUT = 1
_SET_NS = 1_000_000_000  # as fabric doctor
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for."""

    listen: str
    state_dir: Path | None = None
    operator_file: Path | None = None  # where to write the operator's access; None: the user's own place
    announce_fd: int | None = None  # gets one line of JSON when the broker serves
    lifeline_fd: int | None = None  # the broker ends when the other end is closed
    keep: Keep | None = None  # which runs
    ephemeral: bool = False  # remove the state directory at the end


def understood(request: Request) -> Address:
    """Return where to listen.

    Raises:
        UsageError: If the command line asks for what cannot be.
    """
    address = parse_listen_url(request.listen)
    if request.ephemeral and request.state_dir is None:
        raise UsageError("--ephemeral removes the state directory, so it has to be named: --state-dir")
    return address


def serve(request: Request, say: Say) -> None:
    """Serve until SIGTERM, SIGINT or the end of the lifeline.

    Raises:
        FabricError: If it cannot be started.
    """
    address = understood(request)
    log.debug("descriptors_raised", limit=raise_descriptor_limit())
    check_descriptor_limit()
    home = Home.open(request.state_dir or state_dir("broker"))
    try:
        _serve_from(home, address, request, say)
    finally:
        if request.ephemeral:
            home.remove()
        else:
            home.close()


def _serve_from(home: Home, address: Address, request: Request, say: Say) -> None:
    clock = home.clock()
    off_ns = clock.now_ns() - wall_ns()
    if abs(off_ns) >= _SET_NS:
        log.warning(
            "clock_kept", ahead_s=round(off_ns / 1e9, 1), why="a run is open, and the wall clock was set"
        )
    is_public = is_kept(_STDOUT)  # before the notifier takes away what tells it
    server = Server.open(home, address, clock, request.keep)
    try:
        server.stop_on_signals(signal.SIGTERM, signal.SIGINT)
        if request.lifeline_fd is not None:
            server.stop_at_end_of(request.lifeline_fd)
        if (notifier := Notifier.find(lambda: f"serves at {server.address}, epoch {home.epoch}")) is not None:
            server.report_to(notifier)
            tell_where_it_hangs()
        reach = server.address._replace(host=advertised_host(server.address.host))
        path = request.operator_file or operator_access_path(reach)
        now_ns = clock.now_ns()
        server.learn(give_access(home.catalogue, home.identity, reach, path, now_ns))
        token, left_s, invited = home.identity.invitation(home.catalogue, now_ns)
        server.learn(invited)
        log.info("broker_serves", url=str(server.address), epoch=home.epoch, operator_file=str(path))
        if request.announce_fd is not None:
            _announce(request.announce_fd, reach, token, path)
        elif is_public:
            say(_HOW_TO_INVITE.format(path=path), True)
        else:
            _explain(reach, token, left_s, path, say)
        server.serve()
    finally:
        server.close()


def _announce(fd: int, address: Address, token: JoinToken, operator_file: Path) -> None:
    """Tell the process that started this one where the broker is."""
    line = {"url": str(address), "join": token.text, "operator_file": str(operator_file)}
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(json.dumps(line) + "\n")


_HOW_TO = """\
Run the line above on every node of the lab (--name gives a node another name than its host's); it can be used
for {minutes} minutes, afterwards `fabric keys invite` makes another one.
Then, as this user: fabric nodes, fabric-run TRIAL.  Your key is in {path}."""

_HOW_TO_INVITE = """\
The operator's key is in {path}.  As this user: `fabric keys invite --role node`
prints the line that starts an agent.  It is not printed here: who may read the journal could use it."""


def _explain(address: Address, token: JoinToken, left_s: float, path: Path, say: Say) -> None:
    """Print what a person needs next; the line for copying is all that goes to stdout."""
    say(f"fabric-agent {address} --join {token.text}", False)
    say(_HOW_TO.format(path=path, minutes=int(left_s // 60)), True)
    if address.host in _LOOPBACK:
        say("Only this machine can reach it; --listen tcp://0.0.0.0 lets other machines in.", True)

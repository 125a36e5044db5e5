"""``fabric-broker --doctor``: what is wrong with the broker's machine, seen from itself."""

import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from fabric.config import Address, advertised_host
from fabric.doctor.findings import Finding
from fabric.doctor.greeting import NOBODY
from fabric.doctor.judging import disk, files
from fabric.doctor.reaching import OTHER, PORTS, Keys, look_at_port
from fabric.doctor.software import look_at_software
from fabric.errors import FabricError
from fabric.keys import KeyPair, broker_keys
from fabric.private import check_state
from fabric.store.state import INNER, holder
from fabric.transport import make_context
from fabric.transport.sockets import DESCRIPTORS

KEY: Final = "broker.key"


def look_at_broker(directory: Path, listen: Address) -> Iterator[Finding]:
    """Yield what is found.  A living broker is not disturbed, and nothing is made that is not there.

    Args:
        directory: The broker's state directory.
        listen: Where it is to listen.
    """
    yield from look_at_software()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    yield files(float("inf") if hard == resource.RLIM_INFINITY else hard, DESCRIPTORS)
    there = next(folder for folder in (directory, *directory.parents) if folder.exists())
    room = os.statvfs(there)
    yield disk(room.f_bavail * room.f_frsize, str(there))
    if not (directory / KEY).exists():
        yield Finding("warn", "key", f"none in {directory}", "fabric-broker makes it at its first start")
        return
    try:
        check_state(directory, inner=INNER)
    except FabricError as error:
        yield Finding("bad", "state", str(error), error.hint)
    try:
        keys = broker_keys(directory)[0]
    except FabricError as error:
        yield Finding("bad", "key", str(error), error.hint)
        return
    yield Finding("ok", "key", f"in {directory / KEY}")
    pid = holder(directory)
    if pid:
        yield Finding("ok", "broker", f"runs as pid {pid}")
    else:
        yield Finding("warn", "broker", f"none runs on {directory}", "systemctl start testfabric-broker")
    yield from _ports(keys, listen, pid)


def _ports(keys: KeyPair, listen: Address, pid: str) -> Iterator[Finding]:
    """Knock as a stranger: control lets strangers in, to enrol; the others refuse them.

    Where the broker of this directory cannot be, one line tells it: its ports follow each other.
    """
    if listen.port == 0:
        yield Finding("warn", "ports", "they are other ones at each start", "listen on a port that is named")
        return
    stranger = Keys(KeyPair.new(), keys.public)
    context = make_context()
    try:
        for number, port in enumerate(PORTS):
            at = Address(advertised_host(listen.host), listen.port + number)
            found = look_at_port(context, port, at, stranger, expected=port == "control")
            is_elsewhere = found.found.endswith(OTHER) or (pid and found.found.endswith(NOBODY))
            if port == "control" and is_elsewhere:
                yield replace(found, hint=_way_out(pid))
                return
            yield found
    finally:
        context.term()


def _way_out(pid: str) -> str:
    if pid:
        return f"the broker of this directory runs as pid {pid}: name the --listen that it was started with"
    return "this port is another broker's: --listen takes other ones, --state-dir names that one's directory"

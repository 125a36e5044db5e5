"""The whole lab, seen from an operator's machine: that one, the way to the broker, the broker, each node."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fabric import __version__
from fabric.cli.table import since
from fabric.config import PORTS as NUMBER_OF_PORTS
from fabric.config import Address, parse_url
from fabric.controller.connection import Connection
from fabric.controller.keyring import list_keys
from fabric.controller.lookup import list_nodes
from fabric.doctor.findings import Finding, worst
from fabric.doctor.judging import judge, kernel_clock
from fabric.doctor.reaching import PORTS, Keys, look_at_port
from fabric.doctor.software import look_at_software
from fabric.errors import FabricError
from fabric.keys import OperatorAccess, find_operator_access, find_operator_path
from fabric.protocol.messages import NodeClock, NodeInfo, Welcome
from fabric.report.fold import natural
from fabric.report.quantities import duration
from fabric.transport import make_context

ANSWER_S: Final = 10.0
"""The broker has so long for its welcome, and for each answer."""

BOUND_NS: Final = 10_000_000
"""A clock that is known worse than this proves little of a start: the lead of a go is 20 ms."""

WALL_NS: Final = 1_000_000_000
"""A wall clock that is further off makes the logs of programs hard to compare."""


def look_at_lab(url: str | None) -> Iterator[Finding]:
    """Yield the findings one after another, as they are found; each takes a few seconds at most.

    Args:
        url: Of the broker; None: the only one that this user has a key for.
    """
    yield from look_at_software()
    try:
        path = find_operator_path(url)
        access = find_operator_access(url)
    except FabricError as error:
        yield Finding("bad", "key", str(error), error.hint)
        return
    yield Finding("ok", "key", f"of {access.name}, in {path}")
    ports = list(_ports(access))
    yield from ports
    if ports[0].state == "bad":
        return  # nobody is there who could be asked
    yield from _broker(access, path)


def _ports(access: OperatorAccess) -> Iterator[Finding]:
    """Try all four; they follow each other."""
    control = parse_url(access.url)
    keys = Keys(access.keys, access.broker_public)
    context = make_context()
    try:
        for number, port in enumerate(PORTS):
            at = Address(control.host, control.port + number)
            yield look_at_port(context, port, at, keys, expected=port in ("control", "feed"))
    finally:
        context.term()
    assert len(PORTS) == NUMBER_OF_PORTS


def _broker(access: OperatorAccess, path: Path) -> Iterator[Finding]:
    connection = Connection(access, program="fabric-doctor", patience_s=ANSWER_S, break_patience_s=ANSWER_S)
    try:
        welcome = connection.wait_up()
        yield version("broker", welcome.software)
        yield _wall_clock(welcome)
        yield from _nodes(connection)
        yield from _key(connection, access, path)  # last: the broker refuses a viewer, and that is the end
    except FabricError as error:
        yield Finding("bad", "broker", str(error), error.hint)
    finally:
        connection.close()


def version(about: str, software: str) -> Finding:
    """Judge the version of another part."""
    if software == __version__:
        return Finding("ok", about, f"version {software}, as here")
    return Finding(
        "warn", about, f"version {software}, here it is {__version__}", "install the same one everywhere"
    )


def _wall_clock(welcome: Welcome) -> Finding:
    off_ns = time.time_ns() - welcome.now_ns
    if abs(off_ns) < WALL_NS:
        return Finding("ok", "clock", "this machine's wall clock is less than 1 s off the fabric's time")
    said = f"this machine's wall clock is {duration(abs(off_ns))} off the fabric's time"
    hint = "it is the broker's wall clock at its start: set both by NTP, then restart it while no run is open"
    return Finding("warn", "clock", said, hint)


def _key(connection: Connection, access: OperatorAccess, path: Path) -> Iterator[Finding]:
    """Look at what the broker knows of this key; a viewer is not told."""
    try:
        keys = list_keys(connection).keys
    except FabricError:
        return
    mine = next((one for one in keys if one.public_key == access.keys.public.decode()), None)
    if mine is not None and mine.expires_ns is not None:
        left = duration(max(0, mine.expires_ns - connection.fabric_ns()))
        yield Finding("warn", "key", f"{path} has a key that was replaced, it ends in {left}", "join again")


def _nodes(connection: Connection) -> Iterator[Finding]:
    nodes = sorted(list_nodes(connection), key=lambda info: natural(info.name))
    if not nodes:
        yield Finding("warn", "nodes", "none has joined", "`fabric keys invite --role node` prints how")
    now_ns = connection.fabric_ns()
    for node in nodes:
        yield of_node(node, now_ns)


def of_node(node: NodeInfo, now_ns: int) -> Finding:
    """Return one line for a node: what is worst, or how it is."""
    about = f"node {node.name}"
    if node.state == "revoked":
        return Finding("warn", about, "its key was revoked", "`fabric keys invite` lets it in again")
    if node.expected:
        return Finding("warn", about, "not back since the broker's start", "ask again in some seconds")
    if node.state == "away":
        heard = f"away for {since(node.heard_ns, now_ns)}" if node.heard_ns else "was never there"
        if node.drained_by:
            return Finding("warn", about, f"{heard}, drained by {node.drained_by}")
        hint = f"on {node.name}: systemctl status testfabric-agent; fabric-agent --doctor"
        return Finding("bad", about, heard, hint)
    found = [version("agent", node.facts.get("testfabric", "unknown"))]
    if node.dirty_run:
        hint = f"`fabric nodes clean {node.name}` does it again"
        found.append(Finding("warn", "reset", f"dirty since {node.dirty_run}", hint))
    facts = {
        name: value for name, value in node.facts.items() if name != "kernel_clock" or node.clock is None
    }
    found += [*judge(facts), *_clock(node.clock)]
    state = worst(found)
    if state == "ok":
        clock = f", clock ± {duration(node.clock.bound_ns)}" if node.clock else ""
        return Finding("ok", about, f"{node.state}, version {node.facts.get('testfabric', 'unknown')}{clock}")
    wrong = sorted((one for one in found if one.state != "ok"), key=lambda one: one.state != state)
    return Finding(state, about, "; ".join(f"{one.about}: {one.found}" for one in wrong), wrong[0].hint)


def _clock(clock: NodeClock | None) -> Iterator[Finding]:
    if clock is None:
        yield Finding("warn", "clock", "it does not know the time yet", "ask again in some seconds")
        return
    if clock.bound_ns > BOUND_NS:
        hint = "a slow or busy network; see `fabric nodes --clock`"
        yield Finding("warn", "clock", f"known to ± {duration(clock.bound_ns)} only", hint)
    if clock.contradictions:
        hint = "its clock jumps or runs wrong: see docs/clock.md"
        yield Finding("warn", "clock", f"contradicted {clock.contradictions} times", hint)
    if clock.kernel is not None:
        yield kernel_clock(
            "synchronised" if clock.kernel.synchronised else "not synchronised",
            is_synchronised=clock.kernel.synchronised,
        )

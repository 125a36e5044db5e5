"""``fabric-agent --doctor``: what is wrong with this node, seen from itself."""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agents.facts import facts, facts_of_now
from agents.identity import KNOWN, PENDING
from agents.launcher import trace
from agents.launcher.cgroup import Cgroups, Leaf, remove
from agents.state import INNER, holder
from agents.surroundings import surroundings
from fabric.config import Address, parse_url
from fabric.doctor.findings import Finding
from fabric.doctor.greeting import greet
from fabric.doctor.judging import judge
from fabric.doctor.reaching import PORTS, Keys, look_at_port
from fabric.doctor.software import ON_A_NODE, look_at_software
from fabric.errors import FabricError
from fabric.keys import AgentIdentity
from fabric.private import check_state
from fabric.transport import make_context

ARMING_S: Final = 2.0
"""For a program that does nothing to come to its first instruction: it takes a millisecond."""

_PROGRAM: Final = "/bin/true"
_POLL_S: Final = 0.002


def look_at_node(directory: Path, broker: Address | None) -> Iterator[Finding]:
    """Yield what is found.  A living agent on the same directory is not disturbed.

    Args:
        directory: The agent's state directory; it may not exist yet.
        broker: Where the broker is; None: where it was when the node was in touch with it last.
    """
    yield from look_at_software(ON_A_NODE)
    pid = holder(directory)
    if pid:
        yield Finding("ok", "agent", f"runs as pid {pid}")
    else:
        yield Finding("warn", "agent", f"none runs on {directory}", "systemctl start testfabric-agent")
    try:
        if directory.is_dir():
            check_state(directory, may_pass=True, inner=INNER)
    except (FabricError, OSError) as error:
        yield Finding("bad", "state", str(error), getattr(error, "hint", ""))
    there = next(folder for folder in (directory, *directory.parents) if folder.exists())
    yield from judge(facts() | _limits_of(pid) | facts_of_now(there))
    yield arming()
    yield cgroup_leaf()
    yield from _key_and_ports(directory, broker)


def _limits_of(pid: str) -> dict[str, str]:
    """Return what binds the agent that runs here: a shell has other limits than a service."""
    try:
        return surroundings(int(pid))
    except (ValueError, OSError):
        return {}


def _key_and_ports(directory: Path, broker: Address | None) -> Iterator[Finding]:
    try:
        identity = AgentIdentity.load(directory / KNOWN)
        pending = AgentIdentity.load(directory / PENDING)
    except (FabricError, OSError) as error:
        yield Finding("bad", "key", str(error), getattr(error, "hint", ""))
        return
    if identity is None:
        hint = "an operator's `fabric keys invite --role node` prints how this node joins"
        yield Finding("bad", "key", f"this node has none in {directory}: it has not joined", hint)
        if broker is None and pending is not None:
            broker = parse_url(pending.url)
        if broker is not None:
            yield _greeted(broker)
        return
    yield Finding("ok", "key", f"of node {identity.name}, in {directory / KNOWN}")
    broker = broker or parse_url(identity.url)
    context = make_context()
    try:
        for number, port in enumerate(PORTS):
            keys = Keys(identity.keys, identity.broker_public)
            at = Address(broker.host, broker.port + number)
            yield look_at_port(context, port, at, keys, expected=port != "feed")
    finally:
        context.term()


def _greeted(broker: Address) -> Finding:
    """Say who listens there, which needs no key."""
    obstacle = greet(broker)
    if obstacle is None:
        return Finding("ok", "port control", f"{broker}: a broker answers")
    return Finding("bad", "port control", f"{broker}: {obstacle.found}", obstacle.hint)


def arming() -> Finding:
    """Arm a program as the launcher does, really: fork, trace, exec, held at its first instruction."""
    if not Path(_PROGRAM).exists():
        return Finding("warn", "arming", f"not tried: there is no {_PROGRAM}")
    gate_read, gate_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(gate_write)
            os.read(gate_read, 1)
            os.execv(_PROGRAM, [_PROGRAM])  # noqa: S606 - no shell
        finally:
            os._exit(1)
    os.close(gate_read)
    try:
        why = trace.seize(pid)
        if not why:
            os.write(gate_write, b"x")
            why = _wait_for_exec(pid)
    finally:
        os.close(gate_write)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if why:
        hint = "programs will wait before their exec and start a little later; CAP_SYS_PTRACE or yama scope 1"
        return Finding("warn", "arming", why, hint)
    return Finding("ok", "arming", "a program is held at its first instruction")


def _wait_for_exec(pid: int) -> str:
    """Return why a traced child did not stop at its exec, or nothing."""
    until = time.monotonic() + ARMING_S
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done and trace.is_exec(status):
            return ""
        if not done:
            select.select([], [], [], _POLL_S)
    return f"a program did not come to its first instruction in {ARMING_S:g} s"


def cgroup_leaf() -> Finding:
    """Make a cgroup as for a step, really."""
    name = f"doctor-{os.getpid()}"
    groups = Cgroups(name)
    if not groups.path:
        hint = "Delegate=yes in the unit; without it a step's processes are found one by one"
        return Finding("warn", "cgroup leaf", "none can be made here", hint)
    try:
        Leaf(f"{groups.path}/leaf").remove()
    except OSError as error:
        return Finding("warn", "cgroup leaf", f"cannot be made: {error.strerror}", "Delegate=yes in the unit")
    finally:
        remove(groups.path)
    return Finding("ok", "cgroup leaf", f"made and removed below {Path(groups.path).parent}")

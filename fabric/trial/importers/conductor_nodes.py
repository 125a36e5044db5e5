"""PURE.  Names for what Conductor knows by worker names and addresses: roles and nodes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fabric.errors import UsageError
from fabric.protocol.names import NODE
from fabric.trial.importers.conductor_files import Worker
from fabric.trial.importers.notes import Notes
from fabric.trial.problems import did_you_mean
from fabric.trial.vocabulary import MAX_ROLE_CHARS, VARIABLE, is_well_known

MAX_NODE_CHARS: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A worker with its name in the trial."""

    worker: Worker
    role: str
    nodes: tuple[str, ...]  # specs: mostly the name of one node
    is_mapped: bool  # the user said the nodes

    @property
    def keys(self) -> tuple[str, ...]:
        """What its nodes can be given by: `--nodes KEY=NODE`."""
        worker = self.worker
        addresses = (worker.player, f"{worker.player}:{worker.ports[0]}") if worker.player else ()
        return (self.role, worker.name, *addresses)


def name_parts(workers: Sequence[Worker], mapping: Mapping[str, str], notes: Notes) -> tuple[Part, ...]:
    """Give every worker the name of a role and a node.

    A node is called like the worker's address.  Workers that share an address have nodes of their own, with
    the workers' names: two agents on one machine need two names.

    Args:
        workers: In the order of the coordinator file.
        mapping: Nodes by role, worker's name, address, or ``address:cmdport``; several with commas.
        notes: Where to say what was changed.

    Raises:
        UsageError: If the mapping names something that is not there.
    """
    roles = _roles(workers, notes)
    nodes = _nodes(workers, roles, notes, mapping)
    used: set[str] = set()
    parts = []
    for worker, role, node in zip(workers, roles, nodes, strict=True):
        part = Part(worker=worker, role=role, nodes=(node,), is_mapped=False)
        key = next((key for key in part.keys if key in mapping), None)
        if key is not None:
            used.update(key for key in part.keys if key in mapping)
            specs = tuple(spec.strip() for spec in mapping[key].split(",") if spec.strip())
            part = Part(worker=worker, role=role, nodes=specs, is_mapped=True)
        parts.append(part)
    if unknown := next((key for key in mapping if key not in used), None):
        known = list(dict.fromkeys(key for part in parts for key in part.keys))
        hint = did_you_mean(unknown, known, f"known are: {', '.join(known)}")
        raise UsageError(f"--nodes {unknown}: no worker has this name or address", hint)
    return tuple(parts)


def address_table(parts: Sequence[Part]) -> list[str]:
    """Return a line for each worker: its address and the node that stands for it."""
    rows = [(part.worker.player or "(no address)", ", ".join(part.nodes), part.role) for part in parts]
    wide = max((len(address) for address, _, _ in rows), default=0)
    return [
        f"{address:{wide}} -> node {node} (role {role}; another one: --nodes {role}=NAME)"
        for address, node, role in rows
    ]


def _roles(workers: Sequence[Worker], notes: Notes) -> list[str]:
    roles: list[str] = []
    for worker in workers:
        role = _valid_role(worker.name, roles)
        roles.append(role)
        if role != worker.name:
            message = f"worker `{worker.name}` is role `{role}`"
            hint = "the name of a role is a variable in the commands: letters, digits and `_`"
            notes.add(worker.place, "W107", message, hint)
    return roles


def _valid_role(name: str, taken: Sequence[str]) -> str:
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)[:MAX_ROLE_CHARS]
    if not VARIABLE.fullmatch(text) or is_well_known(text):
        text = f"w_{text}"[:MAX_ROLE_CHARS]
    role, number = text, 1
    while role in taken or _clashes(role, taken):
        number += 1
        role = f"{text[: MAX_ROLE_CHARS - 4]}_{number}"
    return role


def _clashes(role: str, taken: Sequence[str]) -> bool:
    """Say whether ``$role_all`` of one role would be ``$role`` of another one."""
    return f"{role}_all" in taken or (role.endswith("_all") and role.removesuffix("_all") in taken)


def _nodes(
    workers: Sequence[Worker], roles: Sequence[str], notes: Notes, mapping: Mapping[str, str]
) -> list[str]:
    by_address = [_valid_node(worker.player) for worker in workers]
    shared = {node for node, count in Counter(by_address).items() if node and count > 1}
    nodes: list[str] = []
    for worker, role, node in zip(workers, roles, by_address, strict=True):
        own = _valid_node(worker.name) or _valid_node(role) or "node"
        is_own = node not in shared and bool(node)
        name = node if is_own else _free(own, [*nodes, *by_address])
        nodes.append(name)
        is_said = {role, worker.name, worker.player} & mapping.keys()
        if not node and not is_said:
            message = f"the file of worker `{worker.name}` names no `player`: its node is `{name}`"
            notes.add(worker.place, "W108", message, f"another one: --nodes {role}=NAME")
        elif node not in shared and node != worker.player and not is_said:
            message = f"`{worker.player}` cannot be the name of a node: it is `{name}`"
            notes.add(worker.place, "W108", message, f"another one: --nodes {role}=NAME")
    for node in sorted(shared):
        _note_shared(
            [one for one, found in zip(workers, by_address, strict=True) if found == node], notes, mapping
        )
    return nodes


def _note_shared(workers: Sequence[Worker], notes: Notes, mapping: Mapping[str, str]) -> None:
    player = workers[0].player
    if player in mapping:
        return
    same_ports = len({worker.ports for worker in workers}) < len(workers)
    names = ", ".join(f"`{worker.name}`" for worker in workers)
    what = f"{player} and ports" if same_ports else player
    message = f"workers {names} have the same address {what}: each has a node of its own, with its name"
    hint = f"to have them on one node: --nodes {player}=NAME"
    notes.add(workers[1].place, "W108", message, hint)


def _valid_node(text: str) -> str:
    fixed = re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-")[:MAX_NODE_CHARS]
    return fixed if NODE.fullmatch(fixed) else ""


def _free(name: str, taken: Sequence[str]) -> str:
    """Return the name, with a number if it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name[: MAX_NODE_CHARS - 5]}-{number}" in taken:
        number += 1
    return f"{name[: MAX_NODE_CHARS - 5]}-{number}"

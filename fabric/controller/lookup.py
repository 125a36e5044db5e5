"""Asks the broker what there is, and finds the run that a user means."""

from collections.abc import Sequence
from typing import Final

from fabric.controller.connection import Connection
from fabric.errors import FabricError, ProtocolError, UsageError
from fabric.protocol.messages import (
    Denied,
    Message,
    NodeInfo,
    Nodes,
    NodesRequest,
    RunInfo,
    Runs,
    RunsRequest,
)

LATEST: Final = "latest"

_SHOWN: Final = 5
"""So many candidates are named where a prefix fits several runs."""


def find_run(connection: Connection, name: str) -> RunInfo:
    """Return the run whose id is or begins with ``name``, or the newest for ``latest``.

    Raises:
        UsageError: If there is none, or if there are several.
        ConnectionRefused: If the broker does not answer.
    """
    found = look_up(connection, name)
    if found is None:
        sentence = "there is no run yet" if name == LATEST else f"no run is called {name}"
        raise UsageError(sentence, hint="`fabric runs` lists them")
    return found


def look_up(connection: Connection, name: str) -> RunInfo | None:
    """Return the run as `find_run` does, None if there is none.

    Raises:
        UsageError: If there are several, or the name is empty.
        ConnectionRefused: If the broker does not answer.
    """
    if not name:  # a variable that is not set: it would begin the name of every run
        raise UsageError(
            "the name of the run is empty", hint="`fabric runs` lists them; `latest` is one, too"
        )
    wanted = "" if name == LATEST else name
    found = list_runs(connection, wanted, limit=1 if name == LATEST else _SHOWN + 1)
    exact = [info for info in found if info.run == name]
    if exact or len(found) <= 1:
        return next(iter(exact or found), None)
    names = ", ".join(info.run for info in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    raise UsageError(f"several runs begin with {name}: {names}", hint="write more of the one you mean")


def list_runs(connection: Connection, prefix: str = "", *, limit: int = 50) -> tuple[RunInfo, ...]:
    """Return the newest runs first, at most ``limit``.

    Raises:
        FabricError: If the broker does not give them out.
        ConnectionRefused: If the broker does not answer.
    """
    request = RunsRequest(request=next(connection.numbers), run=prefix, limit=limit)
    answer = connection.ask(request)
    if isinstance(answer, Denied) and answer.code == "unknown_run":
        return ()
    if not isinstance(answer, Runs):
        raise unexpected(answer)
    return answer.runs


def list_nodes(connection: Connection) -> tuple[NodeInfo, ...]:
    """Return all nodes that the broker knows.

    Raises:
        FabricError: If the broker does not give them out.
        ConnectionRefused: If the broker does not answer.
    """
    found: list[NodeInfo] = []
    while True:
        after = found[-1].name if found else ""
        answer = connection.ask(NodesRequest(request=next(connection.numbers), after=after))
        if not isinstance(answer, Nodes):
            raise unexpected(answer)
        found += answer.nodes
        if not (answer.more and answer.nodes):
            return tuple(found)


def named_nodes(text: str) -> tuple[str, ...]:
    """Return the nodes that a spec on a command line names, each once.

    Raises:
        UsageError: If it is no spec, or does not name them.
    """
    from fabric.trial.nodespec import SpecError, expand

    try:
        return tuple(dict.fromkeys(expand(text)))
    except SpecError as error:
        raise UsageError(f"{text!r:.80}: {error}", hint=error.hint) from None


def pick_nodes(nodes: Sequence[NodeInfo], text: str) -> list[NodeInfo]:
    """Return the nodes that a spec means, whatever they do now; a count in it says nothing here.

    Raises:
        UsageError: If it is no spec, or there are none.
    """
    from fabric.trial.lab import Lab
    from fabric.trial.nodespec import Names, SpecError, parse

    try:
        parts = parse(text)
    except SpecError as error:
        raise UsageError(f"{text!r:.80}: {error}", hint=error.hint) from None
    known, lab = {info.name: info for info in nodes}, Lab(nodes)
    names = dict.fromkeys(
        name for part in parts for name in (part.names if isinstance(part, Names) else lab.members(part.pool))
    )
    for name in names:
        if name not in known:
            raise UsageError(f"no node {name!r:.80} has ever been here", hint="`fabric nodes` lists them")
    if not names:
        raise UsageError(f"no node is {text!r:.80}", hint="`fabric nodes` lists them with their labels")
    return [known[name] for name in names]


def unexpected(answer: Message) -> FabricError:
    """Return what to say of an answer that is not the one that was asked for."""
    if isinstance(answer, Denied):
        return FabricError(answer.sentence)
    return ProtocolError(f"the broker answers with {answer.kind}")

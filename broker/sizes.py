"""PURE.  How much of what the broker knows of nodes goes into one answer."""

from collections.abc import Sequence
from dataclasses import replace

from broker.limits import NODES_BYTES
from fabric.protocol.messages import AgentHello, NodeInfo, RunInfo


def size_of_hello(hello: AgentHello) -> int:
    """Return about how many bytes of a hello are kept, or told to others."""
    tables = [*hello.addresses.items(), *hello.facts.items()]
    texts = [hello.software, hello.instance, *hello.labels, *hello.runs, *hello.cleaned]
    return sum(len(text.encode()) + 5 for text in [*texts, *(text for pair in tables for text in pair)])


def size_of(info: NodeInfo) -> int:
    """Return about how many bytes a node takes in an answer; rather too many."""
    tables = [*info.addresses.items(), *info.facts.items()]
    texts = [*info.labels, *info.given_labels, info.drained_why, *(text for pair in tables for text in pair)]
    return 1000 + sum(len(text.encode()) + 5 for text in texts)


def shortened(infos: Sequence[NodeInfo]) -> tuple[NodeInfo, ...]:
    """Return nodes as one answer can have them all: without what is listed by `Nodes`, page by page, too.

    Whoever asks for a run has asked for its nodes before.
    """
    if sum(map(size_of, infos)) <= NODES_BYTES:
        return tuple(infos)
    bare = (replace(info, facts={}, labels=(), given_labels=(), drained_why="") for info in infos)
    return tuple(replace(info, addresses={}) for info in bare)


def fitting(runs: Sequence[RunInfo]) -> tuple[RunInfo, ...]:
    """Return runs as one answer can have them all: beyond its room without the names of their nodes."""
    kept, room = [], NODES_BYTES
    for info in runs:
        room -= sum(len(name) + 5 for name in info.nodes)
        kept.append(info if room >= 0 else replace(info, nodes=()))
    return tuple(kept)

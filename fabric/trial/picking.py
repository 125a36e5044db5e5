"""PURE.  Gives nodes to those that want some of a pool, each node to one of them.

Whoever comes first does not take what only the second could use: a maximum flow, by augmenting paths.
"""

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Wish(Generic[K]):
    """So many of these nodes, the first ones first."""

    key: K
    count: int
    able: tuple[str, ...]


def pick(wishes: Sequence[Wish[K]]) -> dict[K, tuple[str, ...]]:
    """Return what each wish gets, in its own order; less than it wants only if there is no other way."""
    owners: dict[str, int] = {}
    lacking: list[int] = []
    for index, wish in enumerate(wishes):
        took = 0
        for node in wish.able:
            if took < wish.count and node not in owners:
                owners[node] = index
                took += 1
        lacking += [index] * (wish.count - took)
    stuck: set[int] = set()
    for index in lacking:
        if index not in stuck and not _augment(wishes, owners, index):
            stuck.add(index)  # it stays so: a path that is not there does not come by other paths
    return {
        wish.key: tuple(node for node in wish.able if owners.get(node) == index)
        for index, wish in enumerate(wishes)
    }


def _augment(wishes: Sequence[Wish[K]], owners: dict[str, int], start: int) -> bool:
    """Give one more node to a wish, others moving on to nodes that they can use too; False if they cannot."""
    wanted_by: dict[str, int] = {}
    gives_up: dict[int, str] = {}  # what a wish on the way would give to the one before it
    queue = deque([start])
    while queue:
        index = queue.popleft()
        for node in wishes[index].able:
            if node in wanted_by:
                continue
            wanted_by[node] = index
            owner = owners.get(node)
            if owner is None:
                _move(owners, wanted_by, gives_up, node, start)
                return True
            if owner != start and owner not in gives_up:
                gives_up[owner] = node
                queue.append(owner)
    return False


def _move(
    owners: dict[str, int], wanted_by: Mapping[str, int], gives_up: Mapping[int, str], node: str, start: int
) -> None:
    while True:
        index = wanted_by[node]
        owners[node] = index
        if index == start:
            return
        node = gives_up[index]

"""PURE.  Chance that follows from a seed: the same one gives the same order, on every machine and version."""

import hmac
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def shuffled(items: Iterable[T], seed: int, *purpose: object, name: Callable[[T], object] = str) -> list[T]:
    """Return the items in an order by chance.

    The place of an item depends on the others by comparison only: without one of them the rest stay in their
    order.  So a node that is away changes nothing for those that are there.

    Args:
        items: What is to be put in order.
        seed: Of the run.
        purpose: What the order is for, so that two orders of one run do not depend on each other.
        name: Tells the items apart.
    """
    key = "/".join(map(str, (seed, *purpose))).encode()
    return sorted(items, key=lambda item: hmac.digest(key, str(name(item)).encode(), "sha256"))

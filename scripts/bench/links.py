"""Links of TCP with a delay of their own for each node, by `native/relay.c`."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

LEAST_MS = 0.1
JITTER = 0.1
ASYMMETRY = 5


@dataclass(frozen=True)
class Link:
    """Between the centre (broker, publisher, who says go) and a node; milliseconds for one way."""

    down_ms: float  # from the centre
    up_ms: float
    jitter_ms: float  # at most so much more, either way


def links_of(nodes: int, most_ms: float, *, asymmetric: bool) -> list[Link]:
    """Return a link for each node: delays from 0.1 ms up to the most, the jitter a tenth of the delay.

    If they are to be asymmetric, of each three the second one's way to the centre and the third one's way
    from it take a fifth only.
    """
    links = []
    for index in range(nodes):
        share = index / max(1, nodes - 1)
        delay = LEAST_MS * (most_ms / LEAST_MS) ** share if most_ms > LEAST_MS else 0.0
        fifths = [asymmetric and index % 3 == kind for kind in (1, 2)]
        up, down = (delay / ASYMMETRY if fifth else delay for fifth in fifths)
        links.append(Link(down, up, delay * JITTER))
    return links


@dataclass(frozen=True)
class Rule:
    """Where a relay listens, whereto it connects, and what that link is like.

    ``towards_node``: who connects is the centre; else it is the node.
    """

    listen: tuple[str, int]
    target_port: int
    link: Link
    towards_node: bool

    def __str__(self) -> str:
        there, back = (
            (self.link.down_ms, self.link.up_ms)
            if self.towards_node
            else (self.link.up_ms, self.link.down_ms)
        )
        times = " ".join(str(round(value * 1e3)) for value in (there, back, self.link.jitter_ms))
        return f"{self.listen[0]} {self.listen[1]} 127.0.0.1 {self.target_port} {times}"


class Relay:
    """A process that carries the connections of some rules; it ends with this one."""

    def __init__(self, program: str, rules: Sequence[Rule]) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="bench-", suffix=".rules") as file:
            file.write("".join(f"{rule}\n" for rule in rules))
            file.flush()
            self._process = subprocess.Popen(
                [program, file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert self._process.stdout is not None
            if self._process.stdout.readline() != "ready\n":
                self._process.communicate()
                raise SystemExit("the relay did not come up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def address(net: int, node: int) -> str:
    """Return the loopback address of a node's end of its link; ``net`` keeps the ways apart."""
    return f"127.0.{net}.{node + 1}"

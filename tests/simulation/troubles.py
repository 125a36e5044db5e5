"""What goes wrong in a schedule, as a list that can be printed, made shorter and played again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.simulation.world import MS, S

NODES = ("n1", "n2", "n3")

LENGTHS_NS = {
    "kill": (50 * MS, 3 * S),
    "power": (50 * MS, 3 * S),
    "agent_kill": (50 * MS, 15 * S),
    "agent_stop": (50 * MS, 15 * S),
    "node_power": (50 * MS, 15 * S),
    "agent_pause": (20 * MS, 60 * S),
    "broker_pause": (20 * MS, 30 * S),
    "controller_pause": (20 * MS, 30 * S),
    "cut": (20 * MS, 90 * S),
}
"""Kinds that last, and how long; the broker is away in `kill` and `power`; who pauses goes on afterwards."""

KINDS = (*LENGTHS_NS, "launcher_death", "interrupt", "controller_death", "echo", "revoke")
"""An `echo` says all prepares, gos and aborts to a node again that it has heard so far."""

OF_NODES = ("agent_kill", "agent_stop", "agent_pause", "node_power", "launcher_death", "echo", "revoke")
RECORD_KINDS = ("kill", "power", "agent_kill", "node_power", "cut", "tail_kill")
"""What may happen to whole runs, and to the way of the records."""

BEGIN_NS = 4 * S
SMALL_NS = 1200 * MS


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong.  Instants are from the moment at which all nodes are up."""

    kind: str
    at_ns: int
    lasts_ns: int = 0
    target: str = (
        ""  # a node, or `operator`; of a cut with `>` behind it (to the broker), `<` (from it) or both
    )
    keeps: bool = False  # of a cut: what is under way arrives afterwards

    def __str__(self) -> str:
        lasts = f" for {self.lasts_ns / S:.3f} s" if self.lasts_ns else ""
        kept = ", and what is under way arrives afterwards" if self.keeps else ""
        return f"{self.at_ns / S:7.3f} s  {self.kind} {self.target}{lasts}{kept}"


@dataclass(frozen=True)
class Story:
    """All that follows from nothing else: the same story always ends in the same way."""

    seed: int
    loss: float = 0.0
    delay_ns: tuple[int, int] = (100_000, 3 * MS)
    failing: bool = False
    goes_on: bool = False  # on_lost = "continue"
    small: bool = False  # two nodes and three phases
    troubles: tuple[Trouble, ...] = ()

    def __str__(self) -> str:
        about = f"seed {self.seed}, {self.loss:.0%} of the messages lost, a step fails: {self.failing}"
        about += f", on_lost = continue: {self.goes_on}, small: {self.small}"
        return "\n".join([about, *map(str, sorted(self.troubles, key=lambda trouble: trouble.at_ns))])

    def simpler(self) -> Iterator["Story"]:
        """Yield stories in which less happens, the least first."""
        if self.troubles:
            yield replace(self, troubles=())
        for size in (len(self.troubles) // 2, 1):
            for at in range(0, len(self.troubles) if size else 0, max(size, 1)):
                yield replace(self, troubles=self.troubles[:at] + self.troubles[at + size :])
        if self.loss:
            yield replace(self, loss=0.0)
        if self.failing:
            yield replace(self, failing=False)
        if self.goes_on:
            yield replace(self, goes_on=False)
        for at, trouble in enumerate(self.troubles):
            for shorter in _shorter(trouble):
                yield replace(self, troubles=(*self.troubles[:at], shorter, *self.troubles[at + 1 :]))


def _shorter(trouble: Trouble) -> Iterator[Trouble]:
    if trouble.lasts_ns > 50 * MS:
        yield replace(trouble, lasts_ns=max(trouble.lasts_ns // 4, 50 * MS))
    if trouble.target[-2:] == "<>":
        yield replace(trouble, target=trouble.target[:-1])
        yield replace(trouble, target=trouble.target[:-2] + ">")
    rounded_ns = trouble.at_ns // (100 * MS) * 100 * MS
    if rounded_ns != trouble.at_ns:
        yield replace(trouble, at_ns=rounded_ns)


def story_of(seed: int, kinds: Sequence[str], *, loss: float = 0.0, failing: bool = False) -> Story:
    """Return the story of a seed in which each of these kinds of trouble happens once."""
    chance = random.Random(seed)
    return Story(seed, loss=loss, failing=failing, troubles=tuple(_trouble(kind, chance) for kind in kinds))


def any_story(seed: int, kinds: Sequence[str] = KINDS) -> Story:
    """Return a story of any troubles: none to four, seldom more of one kind."""
    chance = random.Random(seed)
    several = [chance.choice(kinds) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4)))]
    made = story_of(seed, several, loss=chance.choice((0.0, 0.0, 0.02, 0.1)), failing=chance.random() < 0.2)
    slowest_ns = chance.choice((3 * MS, 3 * MS, 40 * MS))
    return replace(made, delay_ns=(100_000, slowest_ns), goes_on=chance.random() < 0.3)


def small_story(seed: int, kinds: Sequence[str] = KINDS) -> Story:
    """Return any story of a small lab, whose troubles come in the second that its run takes."""
    chance = random.Random(seed)
    several = tuple(
        _trouble(chance.choice(kinds), chance, SMALL_NS) for _ in range(chance.choice((1, 1, 2, 2, 3)))
    )
    loss = chance.choice((0.0, 0.0, 0.05))
    return Story(seed, loss=loss, goes_on=chance.random() < 0.3, small=True, troubles=several)


def _trouble(kind: str, chance: random.Random, until_ns: int = BEGIN_NS) -> Trouble:
    at_ns = chance.randrange(until_ns)
    lasts_ns = 0
    if kind in LENGTHS_NS:
        shortest_ns, longest_ns = LENGTHS_NS[kind]
        # As many short ones as long ones.
        lasts_ns = round(shortest_ns * (longest_ns / shortest_ns) ** chance.random())
    if kind == "cut":
        target = chance.choice((*NODES, "operator")) + chance.choice(("<>", "<>", ">", "<"))
        return Trouble(kind, at_ns, lasts_ns, target, keeps=chance.random() < 0.5)
    if kind in OF_NODES:
        return Trouble(kind, at_ns, lasts_ns, chance.choice(NODES))
    return Trouble(kind, at_ns, lasts_ns)

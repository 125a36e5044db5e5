"""What goes wrong in a schedule, as a list that can be printed, made shorter and played again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.simulation.world import MS, S

NODES = ("n1", "n2", "n3")

LENGTHS_NS = {
    "kill": (50 * MS, 3 * S),
    "power": (50 * MS, 3 * S),
    "agent_kill": (25 * MS, 15 * S),
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
RESUMED_NS = 2500 * MS
"""Of two cells."""

MOST_ACTS = 40


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
    acts: int = 0  # of the kill of an agent: that it still does

    def __str__(self) -> str:
        lasts = f" for {self.lasts_ns / S:.3f} s" if self.lasts_ns else ""
        kept = ", and what is under way arrives afterwards" if self.keeps else ""
        acts = f", {self.acts} acts later" if self.acts else ""
        return f"{self.at_ns / S:7.3f} s  {self.kind} {self.target}{lasts}{kept}{acts}"


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
    again: tuple[Trouble, ...] | None = None  # another controller resumes the run; from then on

    def __str__(self) -> str:
        about = f"seed {self.seed}, {self.loss:.0%} of the messages lost, a step fails: {self.failing}"
        about += f", on_lost = continue: {self.goes_on}, small: {self.small}"
        resumed = [] if self.again is None else ["resumed:", *_in_order(self.again)]
        return "\n".join([about, *_in_order(self.troubles), *resumed])

    def simpler(self) -> Iterator["Story"]:
        """Yield stories in which less happens, the least first."""
        if self.again is not None:
            yield replace(self, again=None)
            for fewer in _fewer(self.again):
                yield replace(self, again=fewer)
        for fewer in _fewer(self.troubles):
            yield replace(self, troubles=fewer)
        if self.loss:
            yield replace(self, loss=0.0)
        if self.failing:
            yield replace(self, failing=False)
        if self.goes_on:
            yield replace(self, goes_on=False)
        for simpler in _simpler(self.troubles):
            yield replace(self, troubles=simpler)
        for simpler in _simpler(self.again or ()):
            yield replace(self, again=simpler)


Troubles = tuple[Trouble, ...]


def _in_order(troubles: Troubles) -> list[str]:
    return [str(trouble) for trouble in sorted(troubles, key=lambda trouble: trouble.at_ns)]


def _fewer(troubles: Troubles) -> Iterator[Troubles]:
    if troubles:
        yield ()
    for size in (len(troubles) // 2, 1):
        for at in range(0, len(troubles) if size else 0, max(size, 1)):
            yield troubles[:at] + troubles[at + size :]


def _simpler(troubles: Troubles) -> Iterator[Troubles]:
    for at, trouble in enumerate(troubles):
        for shorter in _shorter(trouble):
            yield (*troubles[:at], shorter, *troubles[at + 1 :])


def _shorter(trouble: Trouble) -> Iterator[Trouble]:
    if trouble.acts:
        yield replace(trouble, acts=0)
    if trouble.lasts_ns > 50 * MS:
        yield replace(trouble, lasts_ns=max(trouble.lasts_ns // 4, 50 * MS))
    if trouble.target[-2:] == "<>":
        yield replace(trouble, target=trouble.target[:-1])
        yield replace(trouble, target=trouble.target[:-2] + ">")
    rounded_ns = trouble.at_ns // (100 * MS) * 100 * MS
    if rounded_ns != trouble.at_ns:
        yield replace(trouble, at_ns=rounded_ns)


def story_of(
    seed: int, kinds: Sequence[str], *, loss: float = 0.0, failing: bool = False, small: bool = False
) -> Story:
    """Return the story of a seed in which each of these kinds of trouble happens once."""
    chance = random.Random(seed)
    until_ns = SMALL_NS if small else BEGIN_NS
    troubles = tuple(_trouble(kind, chance, until_ns) for kind in kinds)
    return Story(seed, loss=loss, failing=failing, small=small, troubles=troubles)


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


def killed_story(seed: int) -> Story:
    """Return a story of a small lab whose agents are killed in the middle of what they do."""
    chance = random.Random(seed)
    kinds = ["agent_kill"] * chance.choice((1, 1, 2, 3))
    others = ("echo", "cut", "kill", "launcher_death", "agent_pause")
    kinds += chance.choices(others, k=chance.choice((0, 1, 1, 2)))
    loss = chance.choice((0.0, 0.0, 0.05))
    troubles = tuple(_trouble(kind, chance, SMALL_NS) for kind in kinds)
    return Story(seed, loss=loss, goes_on=chance.random() < 0.3, small=True, troubles=troubles)


def resumed_story(seed: int, kinds: Sequence[str] = KINDS) -> Story:
    """Return any story of a small lab whose run ends too early and is resumed."""
    chance = random.Random(seed)
    first = [_trouble(chance.choice(("controller_death", "interrupt")), chance, RESUMED_NS)]
    first += [_trouble(chance.choice(kinds), chance, RESUMED_NS) for _ in range(chance.choice((0, 0, 1, 2)))]
    again = tuple(
        _trouble(chance.choice(kinds), chance, SMALL_NS) for _ in range(chance.choice((0, 1, 1, 2)))
    )
    loss = chance.choice((0.0, 0.0, 0.05))
    return Story(
        seed, loss=loss, goes_on=chance.random() < 0.2, small=True, troubles=tuple(first), again=again
    )


def _trouble(kind: str, chance: random.Random, until_ns: int) -> Trouble:
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
        acts = chance.choice((0, chance.randint(1, MOST_ACTS))) if kind == "agent_kill" else 0
        return Trouble(kind, at_ns, lasts_ns, chance.choice(NODES), acts=acts)
    return Trouble(kind, at_ns, lasts_ns)

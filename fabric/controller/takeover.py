"""PURE.  What a run takes over from the runs that it resumes: repeats that have their results.

A repeat has its result when it was carried to its end.  It may have failed: that is a result.  One that was
cut short, by a user, a lost node or a limit of the whole trial, is done again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fabric.protocol.names import StepId, parse_phase
from fabric.protocol.records import Record, RepeatEnded, RepeatStarted
from fabric.trial.cells import Repeat

Key = tuple[int, int]
"""Number of the cell, and of the repeat in it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A run, and the repeats that are taken over from it."""

    run: str
    repeats: frozenset[Key]

    def has(self, record: Record) -> bool:
        """Whether a record of that run belongs to one of them."""
        return key_of(record) in self.repeats

    def document(self) -> dict[str, Any]:
        """Return it as plan.json has it: by cell, ``1-5,7``.  A sweep of many thousand repeats has room."""
        cells: dict[int, list[int]] = {}
        for cell, number in sorted(self.repeats):
            cells.setdefault(cell, []).append(number)
        return {"run": self.run, "repeats": {str(cell): _spans(numbers) for cell, numbers in cells.items()}}


def sources_of(document: Mapping[str, Any]) -> tuple[Source, ...]:
    """Return what a plan.json says of the runs that were resumed, the oldest first."""
    return tuple(
        Source(
            str(entry["run"]),
            frozenset(
                (int(cell), number) for cell, text in entry["repeats"].items() for number in _numbers(text)
            ),
        )
        for entry in document.get("resumes") or ()
    )


def key_of(record: Record) -> Key | None:
    """Return the repeat that a record belongs to; None for what belongs to the whole run."""
    if isinstance(record, RepeatStarted | RepeatEnded):
        return record.cell, record.repeat
    step: str | None = getattr(record, "step", None)
    if step:
        place = StepId.parse(step)
        return place.cell, place.repeat
    phase: str | None = getattr(record, "phase", None)
    return parse_phase(phase)[:2] if phase else None


@dataclass(slots=True)
class Survey:
    """Finds the repeats of a run that have their results, in its records."""

    found: set[Key] = field(default_factory=set)

    def take(self, record: Record) -> None:
        """Look at the next record."""
        if isinstance(record, RepeatEnded) and not record.cut:
            self.found.add((record.cell, record.repeat))


def taken(sources: Iterable[Source], repeats: Sequence[Repeat]) -> tuple[Source, ...]:
    """Return what is taken over of what the sources have.

    Warm-ups of a cell are done again if one of its repeats is: what they have warmed is cold.

    Args:
        sources: With all repeats that have results, the oldest run first; a later one counts.
        repeats: Of the whole plan.
    """
    sources = tuple(sources)
    had = {key for source in sources for key in source.repeats}
    planned = {(repeat.cell.number, repeat.number) for repeat in repeats}
    lacking = {cell for cell, number in planned - had}
    warmups = {
        (repeat.cell.number, repeat.number)
        for repeat in repeats
        if repeat.is_warmup and repeat.cell.number in lacking
    }
    left = (had & planned) - warmups
    found = []
    for source in reversed(sources):
        found.append(Source(source.run, source.repeats & left))
        left -= source.repeats
    return tuple(source for source in reversed(found) if source.repeats)


def remaining(
    repeats: Sequence[Repeat], sources: Iterable[Source], phases: Sequence[str], cycle: Sequence[str]
) -> tuple[Repeat, ...]:
    """Return the repeats that are still to be done, in their order.

    What is set up once for a cell is set up again, for the reset has taken it away.

    Args:
        repeats: Of the whole plan.
        sources: What is taken over.
        phases: That may come, in order.
        cycle: Those that are done anew for each repeat.
    """
    had = {key for source in sources for key in source.repeats}
    anew = next((phase for phase in phases if phase in cycle), None)
    before = () if anew is None else tuple(phases[: phases.index(anew)])
    begun: set[int] = set()
    found = []
    for repeat in repeats:
        if (repeat.cell.number, repeat.number) in had:
            continue
        if repeat.cell.number not in begun and repeat.phases[: len(before)] != before:
            repeat = replace(repeat, phases=before + repeat.phases)  # noqa: PLW2901 - the same one, as it is done
        begun.add(repeat.cell.number)
        found.append(repeat)
    return tuple(found)


def _spans(numbers: Sequence[int]) -> str:
    """Return ``1-5,7`` of ascending numbers."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(f"{low}-{high}" if low < high else str(low) for low, high in spans)


def _numbers(text: str) -> Iterable[int]:
    for span in text.split(","):
        low, _, high = span.partition("-")
        yield from range(int(low), int(high or low) + 1)

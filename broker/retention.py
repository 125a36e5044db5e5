"""What of the stored runs is kept: ``14d,20GB``; which runs are too old, or too many."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from broker.limits import DOUBT_NS, KEEP_BYTES_MIN, YOUNG_NS, S
from fabric.errors import UsageError
from fabric.trial.units import UnitError, to_bytes

_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?(w|d|h|m|s)")
_UNITS_S: Final = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_HINT: Final = 'an age, an amount, or both: "14d", "20GB", "14d,20GB"'


@dataclass(frozen=True, slots=True)
class Keep:
    """How long runs are kept, and how many bytes of them.  None: no matter."""

    age_ns: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A closed run.  ``closed_ns`` is fabric time."""

    run: str
    closed_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Surplus:
    """A run that is not kept, and why."""

    run: Stored
    why: str


def parse_keep(text: str) -> Keep:
    """Return what ``--keep`` says.

    Raises:
        UsageError: If it says nothing, or one thing twice.
    """
    age_ns: int | None = None
    size_bytes: int | None = None
    for word in (part.strip() for part in text.split(",")):
        age = _AGE.fullmatch(word)
        if age is not None and age_ns is None:
            age_ns = int(Fraction(age[1]) * _UNITS_S[age[2]] * S)
        elif age is None and size_bytes is None:
            size_bytes = _bytes(word)
        else:
            raise UsageError(f"{text!r:.80} says one thing twice", hint=_HINT)
    if age_ns == 0:
        raise UsageError(f"{text!r:.80} keeps nothing", hint=_HINT)
    return Keep(age_ns, size_bytes)


def surplus(keep: Keep, closed: Iterable[Stored], open_bytes: int, now_ns: int) -> list[Surplus]:
    """Return the closed runs that are to go, oldest first.

    A run that has just ended is left to who wants its bundle.  Open runs count, but none of them goes.

    Args:
        keep: What is kept.
        closed: All closed runs.
        open_bytes: What the open runs take.
        now_ns: Fabric time.
    """
    oldest_first = sorted(closed, key=lambda one: (one.closed_ns, one.run))
    total = open_bytes + sum(one.size_bytes for one in oldest_first)
    found: list[Surplus] = []
    for one in oldest_first:
        age_ns = now_ns - one.closed_ns
        if age_ns < YOUNG_NS:
            break
        if keep.age_ns is not None and age_ns > keep.age_ns:
            why = "older than is kept"
        elif keep.size_bytes is not None and total > keep.size_bytes:
            why = "more bytes than are kept"
        else:
            break
        total -= one.size_bytes
        found.append(Surplus(one, why))
    return found


def why_ages_wait(newest_ns: int, begun_ns: int, wall_ns: int, now_ns: int) -> str:
    """Return why no run is deleted for its age at present, "" if nothing speaks against the clock.

    Fabric time is the machine's clock as it was when the broker began.  A year too much would make every run
    old, and what is deleted is gone; so a doubt costs a day of patience.

    Args:
        newest_ns: End of the newest run that had ended when this broker began; 0 if there was none.
        begun_ns: When that was.
        wall_ns: What the machine's clock says now.
        now_ns: Fabric time.
    """
    if abs(wall_ns - now_ns) > DOUBT_NS:
        return "the clock of this machine was set by more than a day since the broker began: restart it"
    if begun_ns - newest_ns > DOUBT_NS and now_ns - begun_ns < DOUBT_NS:
        return (
            "no run had ended in the day before the broker began, so its clock may be wrong: it waits a day"
        )
    return ""


class Reads:
    """Which runs were read lately: such a run is not taken away from its reader.  ``now_ns``: fabric time."""

    def __init__(self, limit: int, quiet_ns: int) -> None:
        self._limit, self._quiet_ns = limit, quiet_ns
        self._read_ns: dict[str, int] = {}

    def note(self, run: str, now_ns: int) -> None:
        """Somebody reads it."""
        self._read_ns.pop(run, None)
        self._read_ns[run] = now_ns
        if len(self._read_ns) > self._limit:
            del self._read_ns[next(iter(self._read_ns))]

    def is_read(self, run: str, now_ns: int) -> bool:
        """Whether somebody may still be reading it."""
        return run in self._read_ns and now_ns - self._read_ns[run] < self._quiet_ns


def next_unread(queue: Sequence[Surplus], reads: Reads, now_ns: int) -> Surplus | None:
    """Return the first that nobody reads."""
    return next((one for one in queue if not reads.is_read(one.run.run, now_ns)), None)


def _bytes(word: str) -> int:
    try:
        size = to_bytes(word)
    except UnitError:
        raise UsageError(f"{word!r:.80} is neither an age nor an amount of data", hint=_HINT) from None
    if size < KEEP_BYTES_MIN:
        raise UsageError(f"{word!r:.80} is less than the {KEEP_BYTES_MIN >> 20} MiB that one run may take")
    return size

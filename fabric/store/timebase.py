"""Fabric time from one life of a broker to the next, while runs are open.

A broker's wall clock at its start is fabric time from then on.  If that clock was set since the life before,
a run that goes on would jump with it: phases that end before they begin, a gap of an hour.  So while the
machine is up, and a run is open, the next life counts on from where the one before it stood.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from fabric.store.files import FILE_MODE

_NAME: Final = "timebase.json"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/time")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBase:
    """Where the fabric time of a life of the broker begins."""

    clock: str  # which monotonic clock is meant; "": not known
    offset_ns: int  # fabric time minus that clock
    began_ns: int  # fabric time

    def save(self, directory: Path) -> None:
        """Leave it for the next life, which can do without: a full disk is nothing to complain about here."""
        path = directory / _NAME
        with suppress(OSError):
            new = path.with_suffix(".new")
            new.touch(FILE_MODE)
            new.write_text(json.dumps(asdict(self)) + "\n")
            new.replace(path)

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Return what the life before has left; None if it has left nothing that can be read."""
        try:
            found = json.loads((directory / _NAME).read_text())
            return cls(
                clock=str(found["clock"]),
                offset_ns=int(found["offset_ns"]),
                began_ns=int(found["began_ns"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def monotonic_clock() -> str:
    """Return which CLOCK_MONOTONIC this process reads: each boot has one, and each namespace of time."""
    try:
        return f"{_BOOT.read_text().strip()} {_NAMESPACE.readlink() if _NAMESPACE.is_symlink() else ''}"
    except OSError:
        return ""


def begin(
    before: TimeBase | None, opened_ns: Iterable[int], clock: str, wall_ns: int, now_ns: int
) -> TimeBase:
    """Return where a life begins.

    Args:
        before: What the life before has left.
        opened_ns: Fabric time at which each open run began; without any, nothing has to be gone on with.
        clock: The monotonic clock of this process.
        wall_ns: The wall clock.
        now_ns: The monotonic clock at the same instant.
    """
    began_ns = wall_ns
    if opened := list(opened_ns):
        if before is not None and before.clock and before.clock == clock:
            began_ns = before.offset_ns + now_ns
        else:  # the machine was started again, perhaps with a clock that does not know how late it is
            began_ns = max(wall_ns, *opened, before.began_ns if before else 0)
    return TimeBase(clock=clock, offset_ns=began_ns - now_ns, began_ns=began_ns)

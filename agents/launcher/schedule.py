"""Which steps are to be released when.  Pure: the caller brings the time."""

from __future__ import annotations


class Schedule:
    """Releases that are still to come, by their instant in ns of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._keys: dict[int, list[str]] = {}

    def add(self, key: str, t0_ns: int) -> None:
        """Plan a release; a second plan for the same key replaces the first."""
        self.take_back(key)
        self._keys.setdefault(t0_ns, []).append(key)

    def take_back(self, key: str) -> bool:
        """Forget a release; say whether there was one."""
        for t0_ns, keys in self._keys.items():
            if key in keys:
                keys.remove(key)
                if not keys:
                    del self._keys[t0_ns]
                return True
        return False

    def instant_of(self, key: str) -> int | None:
        """Return for when a release is planned, None if it is not."""
        return next((t0_ns for t0_ns, keys in self._keys.items() if key in keys), None)

    @property
    def next_ns(self) -> int | None:
        """Return the earliest instant, or None."""
        return min(self._keys, default=None)

    def take_next(self, until_ns: int) -> tuple[int, list[str]] | None:
        """Remove and return the earliest instant and its keys if it is not later than ``until_ns``."""
        t0_ns = self.next_ns
        if t0_ns is None or t0_ns > until_ns:
            return None
        return t0_ns, self._keys.pop(t0_ns)

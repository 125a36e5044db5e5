"""Plays schedules for a long time; `scripts/soak` starts it.

Prints for each kind how many ended how, and of each that fails the shortest story that does; with a seed the
same is played again.  Exit code 1 if one has failed.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.simulation.schedules import ALL, Schedules, seldom_collecting

SHOWN_S = 60.0
MOST_FAILURES = 20


class Soak:
    """Counts.

    Args:
        kinds: Of schedules; each gets the same time.
        first: The first seed of each.
    """

    def __init__(self, kinds: Sequence[Schedules], first: int) -> None:
        self.ends: dict[str, Counter[str]] = {kind.name: Counter() for kind in kinds}
        self.failures = 0
        self._kinds = kinds
        self._first = first
        self._next = dict.fromkeys(self.ends, first)
        self._begun_s = time.monotonic()

    def turn(self) -> Iterator[str]:
        """Play some of each kind; yield what fails."""
        for kind in self._kinds:
            until_s = time.process_time() + 1.0
            while time.process_time() < until_s:
                seed = self._next[kind.name]
                self._next[kind.name] += 1
                end, told = kind.told(seed)
                self.ends[kind.name]["FAILED" if told else _words(end)] += 1
                if told:
                    self.failures += 1
                    yield f"{kind.name}: seed {seed} fails: {told}"

    @property
    def count(self) -> int:
        """How many were played."""
        return sum(ends.total() for ends in self.ends.values())

    def summary(self) -> str:
        """Return a line for each kind."""
        took_s = time.monotonic() - self._begun_s
        lines = [f"{self.count:,} schedules in {took_s:,.0f} s, from seed {self._first}"]
        for name, ends in self.ends.items():
            said = ", ".join(f"{end} {count:,}" for end, count in ends.most_common())
            lines.append(f"  {name:14} {ends.total():9,}  {said}")
        return "\n".join(lines)


def _words(end: object) -> str:
    return "/".join(map(str, end)) if isinstance(end, tuple) else str(end or "good")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Play until enough were played, or the time is up, or too many have failed."""
    asked = _parser().parse_args()
    kinds = [kind for kind in ALL if kind.name.startswith(tuple(asked.lab or ("",)))]
    soak, until_s, shown_s = Soak(kinds, asked.seed), time.monotonic() + 60 * asked.minutes, time.monotonic()
    with seldom_collecting():
        while soak.count < asked.schedules and time.monotonic() < until_s and soak.failures < MOST_FAILURES:
            for failed in soak.turn():
                _say(failed)
            if time.monotonic() - shown_s > SHOWN_S:
                shown_s = time.monotonic()
                _say(soak.summary())
    _say(soak.summary())
    return 1 if soak.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--schedules", type=int, default=20_000, help="about so many [%(default)s]")
    parser.add_argument("--minutes", type=float, default=1e6, help="no longer than this")
    parser.add_argument(
        "--seed", type=int, default=1_000_000_000, help="the first of each kind [%(default)s]"
    )
    parser.add_argument("--lab", action="append", help=f"only these: {', '.join(kind.name for kind in ALL)}")
    return parser


if __name__ == "__main__":
    sys.exit(main())

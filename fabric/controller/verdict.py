"""PURE.  What went wrong in a run, and what follows from it."""

from dataclasses import dataclass, field
from typing import Final, Literal

Verdict = Literal["pass", "fail", "error", "invalid", "dirty", "interrupted"]

EXIT_CODES: Final[dict[Verdict, int]] = {
    "pass": 0,
    "fail": 1,
    "error": 3,
    "invalid": 4,
    "dirty": 5,
    "interrupted": 130,
}

ORDER: Final[tuple[Verdict, ...]] = ("dirty", "interrupted", "error", "fail", "invalid")
"""Which one is told when several are true.  A lost node explains failing steps, so error stands before
fail; a failed step explains odd numbers, so fail stands before invalid."""

WHYS: Final = 50
"""Most reasons of one sort that are kept: a thousand nodes may fail in the same way."""


WHY_CHARS: Final = 1000
"""Longest reason: a command or a variable in it may have 120 kB, and nobody reads that in a sentence."""


@dataclass(slots=True)
class Findings:
    """What was found, by the verdict that it leads to, in the order in which it was found."""

    by_verdict: dict[Verdict, list[str]] = field(default_factory=dict)
    dropped: int = 0

    def add(self, verdict: Verdict, why: str) -> None:
        """Note a finding once; of a very long one the beginning and the end."""
        if len(why) > WHY_CHARS:
            why = f"{why[: WHY_CHARS // 2]} ... {why[-WHY_CHARS // 2 :]}"
        whys = self.by_verdict.setdefault(verdict, [])
        if why in whys:
            return
        if len(whys) >= WHYS:
            self.dropped += 1
        else:
            whys.append(why)

    def has(self, verdict: Verdict) -> bool:
        """Whether something led to this verdict."""
        return bool(self.by_verdict.get(verdict))

    @property
    def verdict(self) -> Verdict:
        """The verdict over everything."""
        return next((verdict for verdict in ORDER if self.has(verdict)), "pass")

    @property
    def whys(self) -> tuple[str, ...]:
        """All reasons, those of the verdict first."""
        lines = [why for verdict in ORDER for why in self.by_verdict.get(verdict, [])]
        return (*lines, f"... and {self.dropped} more") if self.dropped else tuple(lines)

"""What `fabric-run` shows while a run goes on and when it is over."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, Protocol

from fabric.controller.entry import Read
from fabric.protocol.names import StepId
from fabric.report.blocks import FailureText
from fabric.report.events import event_line, event_of, is_event
from fabric.report.failures import Failure, Failures
from fabric.report.order import TimeOrder
from fabric.report.printer import Gap, Printer
from fabric.report.style import Level, Palette, printable
from fabric.report.summary import summary
from fabric.report.text import TextRenderer

Source = Callable[[StepId], str]
"""Says where a step stands in the trial, as ``trial.toml:12``; "" if it does not."""

AGAIN: Final = 3
"""So many different failures are told in full once more when the run is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a run came to."""

    run: str
    verdict: str
    whys: tuple[str, ...]
    bundle: PurePath | None
    result: Mapping[str, Any]


class Watch(Protocol):
    """Shows a run.  Never waits; ``now_ns`` is on one monotonic clock, the caller's."""

    @property
    def deadline_ns(self) -> int | None:
        """When to call again though nothing has come."""

    def begun(self, run: str, bundle: PurePath) -> None:
        """Note the run's id and where its bundle will be."""

    def __call__(self, reads: Sequence[Read], now_ns: int) -> None:
        """Show records as they are read (perhaps none)."""

    def conclude(self, conclusion: Conclusion) -> None:
        """Show what the run came to."""

    def close(self) -> None:
        """Show what is left, also where there is no conclusion.  Safe to repeat."""


class QuietWatch:
    """Shows the verdict only."""

    deadline_ns: int | None = None

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def begun(self, run: str, bundle: PurePath) -> None:
        """Say nothing."""

    def __call__(self, reads: Sequence[Read], now_ns: int) -> None:
        """Say nothing."""

    def conclude(self, conclusion: Conclusion) -> None:
        """Print why, and the verdict."""
        for line in (*map(printable, conclusion.whys), verdict_line(conclusion)):
            self._printer.put(line, keep=True)

    def close(self) -> None:
        """Nothing is held."""


class JsonWatch:
    """One JSON object a line: the events of the bundle, then the result."""

    deadline_ns: int | None = None

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._origin_ns: int | None = None

    def begun(self, run: str, bundle: PurePath) -> None:
        """Say nothing: the first event does."""

    def __call__(self, reads: Sequence[Read], now_ns: int) -> None:
        """Print each record that is worth an event."""
        for read in reads:
            if self._origin_ns is None:
                self._origin_ns = read.record.t_ns
            if not is_event(read.record):
                continue
            self._printer.put(event_line(event_of(read, self._origin_ns)), mark=read.number)

    def conclude(self, conclusion: Conclusion) -> None:
        """Print the result; who has interrupted the run does not wait for all before it."""
        if conclusion.verdict == "interrupted":
            self._printer.hurry()
        bundle = str(conclusion.bundle) if conclusion.bundle is not None else None
        self._printer.put(event_line({"type": "result", **conclusion.result, "bundle": bundle}), keep=True)

    def close(self) -> None:
        """Nothing is held."""


class TextWatch:
    """For people: a line for each event and each line of output, in the order of their time.

    Args:
        printer: Of the lines.
        source: Says where a step stands in the trial.
        color: Use colours.
        hold: Let lines wait for the printer's next footer.
    """

    def __init__(self, printer: Printer, source: Source, *, color: bool = False, hold: bool = False) -> None:
        self._printer = printer
        self._hold = hold
        self._palette = Palette(color=color)
        self._renderer = TextRenderer(color=color)
        self._order = TimeOrder()
        self._failures = Failures()
        self._failure_text = FailureText(self._palette, source, lambda: self._renderer.origin_ns)
        self._bundle = ""

    @property
    def deadline_ns(self) -> int | None:
        """When something that is held has waited long enough."""
        times = (self._order.deadline_ns, self._renderer.deadline_ns, self._failures.deadline_ns)
        return min((time for time in times if time is not None), default=None)

    def begun(self, run: str, bundle: PurePath) -> None:
        """Note where the bundle will be."""
        self._bundle = str(bundle)

    def __call__(self, reads: Sequence[Read], now_ns: int) -> None:
        """Print what is due."""
        self._print(self._order.take(reads, now_ns), now_ns)
        for failure in self._failures.news(now_ns):
            self._tell(failure)

    def conclude(self, conclusion: Conclusion) -> None:
        """Print what is left, the failures once more, and what the run came to.

        Who has interrupted the run does not wait for the output that is still to be printed.
        """
        self.close()
        if conclusion.verdict == "interrupted":
            self._printer.hurry()
        lines = self._failed()
        told = [f"{self._failure_text.place(failure)} on " for failure in self._failures.all]
        lines += summary(conclusion.result, self._palette, told=told)
        if self._printer.not_shown:
            lines.append(f"{self._printer.not_shown} lines were not shown; the bundle has all of them")
        level: Level = "good" if conclusion.verdict == "pass" else "error"
        lines.append(self._palette.level(level, verdict_line(conclusion)))
        self._printer.put("\n".join(lines), keep=True)

    def close(self) -> None:
        """Print what is left."""
        self._print(self._order.rest(), 0)
        for line in self._renderer.finish():
            self._printer.put(line, keep=True)

    def _failed(self) -> list[str]:
        """Return the failures, the first ones in full; those that were told before, too."""
        self._failures.rest()
        lines = [""] if self._failures.all else []
        for place, failure in enumerate(self._failures.all):
            told = self._failure_text.lines(failure, self._bundle)
            lines += told if place < AGAIN else told[:1]
        if self._failures.more:
            lines.append(f"... and {self._failures.more} more failures in result.json")
        return lines

    def _print(self, reads: Iterable[Read], now_ns: int) -> None:
        for read in reads:
            is_output = read.record.kind == "output"
            for line in self._renderer.render(read, now_ns):
                self._printer.put(line, keep=not is_output, mark=read.number, wait=self._hold)
            self._failures.take(read, now_ns)  # here, so that no failure is told before its own line
        for line in self._renderer.expire(now_ns):
            self._printer.put(line, wait=self._hold)

    def _tell(self, failure: Failure) -> None:
        for line in self._failure_text.lines(failure, self._bundle):
            self._printer.put(line, keep=True, wait=self._hold)


def verdict_line(conclusion: Conclusion) -> str:
    """Return the last line: what it came to, and where everything is."""
    return f"{conclusion.verdict}  {conclusion.run}  bundle: {conclusion.bundle}"


def tell_gap(gap: Gap) -> str:
    """Return what stands for lines that were not shown to a person."""
    return f"... {gap.lines} lines not shown: the terminal is slower than the run; the bundle has all of them"


def tell_json_gap(gap: Gap) -> str:
    """Return what stands for events that were not shown to a program."""
    return event_line({"type": "not_shown", "events": gap.lines, "first": gap.first, "last": gap.last})

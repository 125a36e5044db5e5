"""What `fabric-run` shows: which view fits, and where the program's own log goes meanwhile."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, TextIO, cast

import click

from fabric.cli.options import wants_color
from fabric.errors import UsageError

if TYPE_CHECKING:
    from fabric.controller.trialrun import Outcome
    from fabric.protocol.names import StepId
    from fabric.report.printer import Printer
    from fabric.report.watch import Watch
    from fabric.trial.model import Trial

Ui = Literal["auto", "live", "plain", "jsonl"]

MIN_COLUMNS: Final = 50
MIN_LINES: Final = 10
"""A smaller terminal has no room for a table."""


@contextmanager
def watching(ui: str, trial: "Trial", *, verbose: bool, quiet: bool) -> "Iterator[Watch]":
    """Show a run in the block; what waits to be shown then is written before it ends.

    Raises:
        UsageError: If a live view is wanted where none can be.
    """
    from fabric.log import set_up_command
    from fabric.report.printer import Printer
    from fabric.report.watch import tell_gap, tell_json_gap

    kind = _kind(ui)
    sys.stdout.flush()
    tell = tell_json_gap if kind == "jsonl" else tell_gap
    with Printer(sys.stdout.fileno(), encoding=sys.stdout.encoding or "utf-8", tell=tell) as printer:
        stream = cast("TextIO", _LogStream(printer)) if kind == "live" and sys.stderr.isatty() else None
        set_up_command(verbose=verbose, quiet=quiet, stream=stream)
        watch = _watch(kind, printer, trial, quiet=quiet)
        try:
            yield watch
        finally:
            watch.close()
            set_up_command(verbose=verbose, quiet=quiet)
            _close(printer)
            if printer.problem:
                with suppress(OSError):  # stderr may be on the same disk; the verdict is the exit code
                    click.echo(f"cannot write to stdout: {printer.problem}; the run went on", err=True)


def conclude(outcome: "Outcome", watch: "Watch", *, as_json: bool) -> None:
    """Show what a run came to, or why it was not begun."""
    from fabric.report.watch import Conclusion

    if outcome.bundle is None and not as_json:  # nothing was started
        for why in outcome.whys:
            click.echo(f"error: {why}", err=True)
        return
    watch.conclude(
        Conclusion(
            run=outcome.run,
            verdict=outcome.verdict,
            whys=outcome.whys,
            bundle=outcome.bundle,
            result=outcome.result,
        )
    )


def _kind(ui: str) -> Ui:
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if ui == "live" and not is_terminal:
        raise UsageError("--ui live: stdout is no terminal that could show it", hint="use --ui plain")
    if ui != "auto":
        return cast("Ui", ui)
    from fabric.report.printer import terminal_size

    if not is_terminal:
        return "plain"
    size = terminal_size(sys.stdout.fileno())
    return "live" if size.columns >= MIN_COLUMNS and size.lines >= MIN_LINES else "plain"


def _watch(kind: Ui, printer: "Printer", trial: "Trial", *, quiet: bool) -> "Watch":
    from fabric.report.printer import terminal_size
    from fabric.report.watch import JsonWatch, QuietWatch, TextWatch

    if kind == "jsonl":
        return JsonWatch(printer)
    if quiet:
        return QuietWatch(printer)
    if kind == "plain":
        return TextWatch(printer, _Sources(trial))
    from fabric.report.live import LiveWatch

    fd = sys.stdout.fileno()

    def size() -> tuple[int, int]:
        now = terminal_size(fd)
        return now.columns, now.lines

    # whoever has stopped us and let us go on (Ctrl-Z, fg) has written to the terminal meanwhile
    signal.signal(signal.SIGCONT, lambda *_: printer.forget())
    return LiveWatch(printer, _Sources(trial), size, color=wants_color(sys.stdout))


class _Sources:
    """Says where a step stands in the trial."""

    def __init__(self, trial: "Trial") -> None:
        self._trial = trial

    def __call__(self, step: "StepId") -> str:
        with suppress(KeyError):
            return self._trial.place(self._trial.step(step.phase, step.role, step.label))
        return ""


class _LogStream:
    """The program's log, above the table instead of through it."""

    def __init__(self, printer: "Printer") -> None:
        self._printer = printer

    def isatty(self) -> bool:
        """Whether colours are of use."""
        return True

    def write(self, text: str) -> int:
        """Take whole lines."""
        if text.rstrip("\n"):
            self._printer.put(text.rstrip("\n"), keep=True)
        return len(text)

    def flush(self) -> None:
        """Nothing is held here."""


def _close(printer: "Printer") -> None:
    """Write what is left; Ctrl-C leaves a reader that does not take it, with the verdict that was found."""
    leave = []
    with suppress(ValueError):  # not in the main thread: there is no Ctrl-C to hear
        leave.append(signal.signal(signal.SIGINT, lambda *_: printer.abandon()))
    printer.close()
    if leave:
        signal.signal(signal.SIGINT, leave[0])

"""What ``fabric-tail`` does: finds the run, reads it, shows it, and the next one."""

import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import click

from fabric.cli.options import deferred_interrupt, wants_color
from fabric.controller.connection import Connection
from fabric.controller.lookup import find_run, list_runs, look_up
from fabric.controller.position import find_number, find_origin_ns
from fabric.controller.tail import RunTail
from fabric.controller.upkeep import run_details
from fabric.errors import FabricError, UsageError
from fabric.protocol.messages import RunInfo
from fabric.report.folding import Folder
from fabric.report.losses import Losses
from fabric.report.picking import Picker
from fabric.report.tailview import Clock, ClockName, JsonTimelineView, TimelineView, order_of, searcher
from fabric.report.views import JsonView, Selection, TextView, View

NEXT_RUN_NS: Final = 200_000_000
"""Between two looks for the next run.  What it has reported meanwhile is replayed."""


class Start(NamedTuple):
    """Where to begin; one of them is set."""

    word: str = ""  # run or now
    number: int = 0  # of a record
    ago_s: float = 0.0  # before now


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line says about what is shown."""

    start: Start
    follow: bool
    follow_runs: bool
    nodes: tuple[str, ...]
    roles: tuple[str, ...]
    steps: tuple[str, ...]
    pattern: re.Pattern[str] | None
    invert: bool
    merge: bool
    fold: bool
    clock: ClockName
    as_json: bool
    quiet: bool

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: If something would have no effect.
        """
        if self.as_json and (self.pattern or self.fold or self.clock != "run"):
            raise UsageError(
                "--grep, --fold and --clock are for text; --json has every field",
                hint="leave them out, and let jq pick what you want",
            )
        if self.invert and self.pattern is None:
            raise UsageError("--invert turns --grep round; there is none", hint="add --grep REGEX")


class Tailing:
    """Shows one run, or one after the other."""

    def __init__(self, wishes: Wishes) -> None:
        wishes.check()
        self._wishes = wishes
        self._wanted = Selection(frozenset(wishes.nodes), frozenset(wishes.roles), frozenset(wishes.steps))

    def show(self, connection: Connection, run: str) -> None:
        """Show the run that a user means.

        Raises:
            FabricError: If it cannot be found or read.
        """
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 still shows the rest
        if not self._wishes.follow_runs:
            self._show(connection, find_run(connection, run), self._wishes.start)
            return
        info = look_up(connection, run) or self._next(connection, None)
        start = self._wishes.start
        while True:
            self._announce(info)
            self._show(connection, info, start)
            connection.unsubscribe(info.run)
            info, start = self._next(connection, info), Start(word="run")

    def _next(self, connection: Connection, before: RunInfo | None) -> RunInfo:
        """Wait for the run that was opened after another one; without one, for any."""
        while True:
            while not connection.up:  # the link gives up after --patience
                connection.turn()
            later = [
                info
                for info in list_runs(connection)
                if before is None or (info.opened_ns, info.run) > (before.opened_ns, before.run)
            ]
            if later:
                return later[-1]
            until_ns = connection.now_ns() + NEXT_RUN_NS
            while connection.turn(until_ns) < until_ns:
                pass

    def _announce(self, info: RunInfo) -> None:
        """Say whose records follow: they do not name their run."""
        if self._wishes.as_json:
            import json

            _print(iter([json.dumps({"type": "run", "run": info.run, "name": info.name})]))
        else:
            _print(iter([f"--- {info.run} ---"]))
        sys.stdout.flush()

    def _show(self, connection: Connection, info: RunInfo, start: Start) -> None:
        follow = self._wishes.follow or self._wishes.follow_runs
        number, since_ns = self._begin(connection, info, start)
        shows_first = number == 1 and not since_ns and self._wanted == Selection()
        origin_ns = None if shows_first else find_origin_ns(connection, info)
        clock = self._clock(connection, info, number, origin_ns)
        view = self._view(clock, origin_ns, live=follow and info.state == "open")
        tail = RunTail(connection, info, number=number, follow=follow)
        picker = Picker(self._wanted, info.nodes, since_ns)
        losses = Losses(whole=number == 1)
        shown = number
        try:
            while not tail.done:
                reads = tail.turn(view.deadline_ns)
                now_ns = connection.now_ns()
                for read in reads:
                    clock.note(read)
                    with deferred_interrupt():  # else what is shown could be shown again by who goes on
                        whole = [read] if self._wishes.as_json else losses.told([read])
                        _print(view.lines(picker.pick(whole), now_ns))
                        shown = read.number + 1
                with deferred_interrupt():
                    _print(view.lines((), now_ns))
                    sys.stdout.flush()  # the next program in the pipe is to have them
        except (KeyboardInterrupt, FabricError):
            _print(view.finish())
            if not self._wishes.quiet:
                click.echo(f"go on with: fabric-tail {info.run}{' -f' * follow} --from @{shown}", err=True)
            raise
        _print(view.finish())
        for sentence in () if self._wishes.quiet or self._wishes.follow_runs else picker.in_vain():
            click.echo(sentence, err=True)  # else nothing would look like a run without output

    def _begin(self, connection: Connection, info: RunInfo, start: Start) -> tuple[int, int]:
        """Return the number of the first record to read, and the fabric time before which none is shown."""
        if start.number:
            follow = self._wishes.follow or self._wishes.follow_runs
            if start.number > info.last + 1 and not (follow and info.state == "open"):
                raise UsageError(f"--from @{start.number}: the last record of {info.run} is @{info.last}")
            return start.number, 0
        if start.word:
            return (1 if start.word == "run" else info.last + 1), 0
        end_ns = info.closed_ns or connection.fabric_ns()
        since_ns = end_ns - round(start.ago_s * 1e9)
        return find_number(connection, info, since_ns), since_ns

    def _clock(self, connection: Connection, info: RunInfo, number: int, origin_ns: int | None) -> Clock:
        """Return a clock that knows the phases that began before what is read."""
        clock = Clock(self._wishes.clock, origin_ns)
        if self._wishes.clock == "phase" and number > 1:
            for phase in run_details(connection, info.run).phases:
                if phase.t0_ns:
                    clock.begun(phase.phase, phase.t0_ns)
        return clock

    def _view(self, clock: Clock, origin_ns: int | None, *, live: bool) -> View:
        wishes = self._wishes
        if wishes.as_json and wishes.merge:
            return JsonTimelineView(origin_ns=origin_ns, order=order_of(merge=True, live=live))
        if wishes.as_json:
            return JsonView(origin_ns=origin_ns)
        color = wants_color(sys.stdout)
        if not (wishes.merge or wishes.fold or wishes.pattern or wishes.clock != "run"):
            return TextView(origin_ns=origin_ns, color=color)
        return TimelineView(
            clock=clock,
            order=order_of(merge=wishes.merge, live=live),
            wanted=None if wishes.pattern is None else searcher(wishes.pattern, invert=wishes.invert),
            fold=Folder(live=live) if wishes.fold else None,
            color=color,
        )


def _print(lines: Iterator[str]) -> None:
    for line in lines:  # not joined: a record brings megabytes
        sys.stdout.write(line)
        sys.stdout.write("\n")

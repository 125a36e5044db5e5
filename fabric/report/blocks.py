"""PURE.  A failure, told in full: where, how, its last words, what the others said, and where to look."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fabric.protocol.names import StepId
from fabric.report.failures import WORDS, Failure
from fabric.report.fold import folded
from fabric.report.paths import stream_path
from fabric.report.recent import Line, Words
from fabric.report.style import Palette, printable
from fabric.report.text import SEPARATORS

WIDTH: Final = 400
"""Most characters of a line that are shown; the whole line is in the bundle."""

_NODES: Final = 60
_REPEATS: Final = 30


class FailureText:
    """Makes the lines of a failure.

    Args:
        palette: Colours, or none.
        source: Says where a step stands in the trial, as ``trial.toml:12``; "" if it does not.
        origin_ns: Returns the instant of the run's first record, from which times are counted.
    """

    def __init__(
        self, palette: Palette, source: Callable[[StepId], str], origin_ns: Callable[[], int]
    ) -> None:
        self._palette = palette
        self._source = source
        self._origin_ns = origin_ns

    def place(self, failure: Failure) -> str:
        """Return which step of the trial it was, and where that stands."""
        step = failure.step
        source = self._source(step)
        return (f"{source}: " if source else "") + f"{step.phase}/{step.role} step {step.label}"

    def lines(self, failure: Failure, bundle: str) -> list[str]:
        """Return the lines; commands in them can be pasted."""
        found = [self._head(failure)]
        found += self._last(failure)
        found += self._others(failure)
        if bundle:
            found += [f"    bundle: {bundle}", f"    look:   {look(failure, bundle)}"]
        return found

    def _head(self, failure: Failure) -> str:
        count = len(failure.nodes)
        nodes = folded(failure.nodes, limit=_NODES) + (f" ({count} nodes)" if count > 1 else "")
        tries = f" in {failure.attempt} attempts" if failure.attempt > 1 else ""
        text = f"{self.place(failure)} failed on {nodes}{tries}: {printable(failure.how)}"
        if len(failure.repeats) > 1:
            text += f", in repeats {folded(failure.repeats, limit=_REPEATS)}"
        return self._palette.level("error", text)

    def _last(self, failure: Failure) -> list[str]:
        if not failure.lines:
            return ["    it printed nothing"]
        of = f" of {failure.node}" if len(failure.nodes) > 1 else ""
        again = f", attempt {failure.attempt}" if failure.attempt > 1 else ""
        count = len(failure.lines)
        head = f"    last {count} lines{of}{again}:" if count > 1 else f"    last line{of}{again}:"
        return [head, *(self._line(line) for line in failure.lines)]

    def _line(self, line: Line) -> str:
        separator = SEPARATORS[line.stream]
        if line.stream == "stderr":
            separator = self._palette.level("error", separator)
        return f"      {separator} {self._shown(line.data)}".rstrip()

    def _others(self, failure: Failure) -> list[str]:
        said = _folded_words(failure.others)[-WORDS:]
        if not said:
            return []
        found = ["    in the two seconds before, others said:"]
        for word in said:
            time = self._palette.faint(f"[{(word.t_ns - self._origin_ns()) / 1e9:7.3f}]")
            step = StepId.parse(word.step)
            nodes = folded(word.nodes, limit=_NODES)
            who = self._palette.node(nodes, f"{nodes} {step.role}/{step.label}")
            again = f"  ({word.count} times)" if word.count > 1 and len(word.nodes) == 1 else ""
            found.append(f"      {time} {who} {SEPARATORS[word.stream]} {self._shown(word.line)}{again}")
        return found

    def _shown(self, data: bytes) -> str:
        text = data.removesuffix(b"\r").decode("utf-8", "replace")
        cut = text[:WIDTH] + "…" if len(text) > WIDTH else text
        return printable(cut, color=self._palette.color)


def look(failure: Failure, bundle: str) -> str:
    """Return the command that shows more of a failure: the files that its lines are from."""
    if not failure.lines:
        return shlex.join(["less", f"{bundle}/events.jsonl"])
    streams = sorted({line.stream for line in failure.lines})  # stderr first
    paths = [stream_path(failure.node, failure.step, failure.attempt, stream) for stream in streams]
    return shlex.join(["less", "-R", *(f"{bundle}/{path}" for path in paths)])


@dataclass(slots=True)
class _Word:
    """A line that some said, perhaps again and again; ``t_ns`` is of the last time."""

    line: bytes
    step: str
    stream: str
    t_ns: int = 0
    nodes: set[str] = field(default_factory=set)
    count: int = 0


def _folded_words(words: Sequence[Words]) -> list[_Word]:
    """Return each line with the nodes on which that step said the same, by the last time."""
    found: dict[tuple[bytes, str, str], _Word] = {}
    for one in _lines_of(words):
        key = (one.data, one.step, one.stream)
        word = found.pop(key, None) or _Word(*key)
        word.t_ns, word.count = one.t_ns, word.count + 1
        word.nodes.add(one.node)
        found[key] = word
    return list(found.values())


def _lines_of(words: Iterable[Words]) -> list[Words]:
    """Return a line each, but blank ones.  A program may write one in pieces, and its newline alone."""
    lines: list[Words] = []
    begun: dict[tuple[str, str, str], int] = {}  # the line that somebody has not ended yet
    for one in words:
        source = (one.node, one.step, one.stream)
        *whole, rest = one.data.split(b"\n")
        for piece in [*whole, rest] if rest else whole:
            index = begun.pop(source, -1)
            if index < 0 or one.is_cut:
                index = len(lines)
                lines.append(replace(one, data=piece))
            else:
                lines[index] = replace(one, data=lines[index].data + piece)
        if rest:
            begun[source] = index
    return [line for line in lines if line.data.strip()]

"""The table of the live view, as lines that fit into a terminal.

Laid out by hand, with the widths of characters from rich: a table of rich takes 24 ms of CPU for 20 rows,
which is a fifth of a core at eight frames a second; this takes a twentieth of that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

from fabric.report.board import Board, PhaseState, State
from fabric.report.fold import folded
from fabric.report.frame import Footer
from fabric.report.quantities import about, clock, counted, quantity
from fabric.report.rows import Row, rows
from fabric.report.sentences import skew
from fabric.report.style import Level, Palette, printable

NODES_CELLS: Final = 28
"""Widest column of nodes."""

PHASE_CELLS: Final = 24
"""Widest column of a phase."""

LAST_CELLS: Final = 12
"""The last line is left out where it would have less room."""

HEAD_LINES: Final = 5
"""A rule, how far the run is, and three lines of phases."""

_GAP: Final = "  "

_LEVELS: Final[dict[State, Level]] = {"running": "plain", "done": "good", "failed": "error"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the table before its columns have a width."""

    texts: tuple[str, ...]
    states: tuple[State | None, ...]  # None: as in the head
    last: str = ""


def panel(board: Board, now_ns: int, size: tuple[int, int], palette: Palette) -> Footer:
    """Return the table.

    Args:
        board: What to show.
        now_ns: This instant, on the caller's clock.
        size: Columns and lines of the terminal; the table takes two thirds of the lines at most.
        palette: Colours, or none.
    """
    columns, lines = size
    width = columns - 1  # the last cell would make some terminals wrap
    room = max(1, lines * 2 // 3 - HEAD_LINES)
    shown = rows(board, now_ns, room)
    hidden = len(board.nodes) - sum(len(row.names) for row in shown)
    phases = list(board.phases.values())
    table = [*_heads(board, phases), *map(_line, shown)]
    kept = _kept(table, phases, width)
    widths = [max(cell_len(line.texts[place]) for line in table) for place in kept]
    title = _title(board, now_ns, hidden)
    found = [(_fit("─" * width, width), "faint"), (_fit(title, width), "title")]
    texts = [_painted(text, kind, palette) for text, kind in found]
    texts += [_row_text(line, kept, widths, width, palette) for line in table]
    return Footer(tuple(texts), (width,) * len(texts), columns)


def _painted(text: str, kind: str, palette: Palette) -> str:
    return palette.faint(text) if kind == "faint" else palette.level("plain", text)


def _title(board: Board, now_ns: int, hidden: int) -> str:
    progress, t_ns = board.progress, board.t_ns(now_ns)
    parts = [progress.name, progress.where()]
    if progress.started_ns is not None:
        parts.append(clock(t_ns - progress.started_ns))
    left_ns = progress.left_ns(t_ns)
    if left_ns is not None:
        parts.append(f"about {about(left_ns)} left")
    if hidden:
        parts.append(f"{counted(hidden, 'node')} more than fit")
    return printable("  ".join(part for part in parts if part))


def _heads(board: Board, phases: Sequence[PhaseState]) -> Iterable[_Line]:
    """Return three lines: names, when each phase went, how well."""
    origin_ns = board.progress.started_ns or 0
    none = (None,) * (len(phases) + 3)
    gos = (_go(phase, origin_ns) for phase in phases)
    yield _Line(("NODES", *(phase.name for phase in phases), "      B/s", "lines/s"), none, "LAST LINE")
    yield _Line(("go", *gos, "", ""), none)
    yield _Line(("skew", *map(_skew, phases), "", ""), none)


def _go(phase: PhaseState, origin_ns: int) -> str:
    again = f" try {phase.aborted + 1}" if phase.aborted else ""
    return again.strip() if phase.t0_ns is None else f"{(phase.t0_ns - origin_ns) / 1e9:.3f}{again}"


def _skew(phase: PhaseState) -> str:
    return "" if phase.skew_ns is None else skew(phase.skew_ns, phase.skew_bound_ns)


def _line(row: Row) -> _Line:
    rates = (f"{quantity(row.bytes_per_s, 'B/s'):>9}", f"{row.lines_per_s:>7.0f}")
    names = folded(row.names, limit=NODES_CELLS)
    texts = (names, *(set_cell_size(cell.text, min(cell_len(cell.text), PHASE_CELLS)) for cell in row.cells))
    states = (_worst(row), *(cell.state for cell in row.cells), "", "")
    return _Line((*texts, *rates), states, _last(row))


def _worst(row: Row) -> State:
    return "failed" if any(cell.state == "failed" for cell in row.cells) else ""


def _last(row: Row) -> str:
    """Return the last line that has something in it, harmless."""
    line = row.last.rstrip().rpartition(b"\n")[2].rpartition(b"\r")[2]
    text = printable(line.decode("utf-8", "replace")).replace("\t", " ")
    return f"{row.last_node}: {text}" if row.last_node else text


def _kept(table: Sequence[_Line], phases: Sequence[PhaseState], width: int) -> list[int]:
    """Return the columns that there is room for: the phases that are over go first, then those to come."""
    kept = list(range(len(table[0].texts)))
    over = [place for place, phase in enumerate(phases, 1) if phase.ended_ns is not None]
    to_come = [place for place, phase in enumerate(phases, 1) if phase.t0_ns is None]
    for place in (*over[:-1], *reversed(to_come)):
        widths = (max(cell_len(line.texts[one]) for line in table) + len(_GAP) for one in kept)
        if sum(widths) + LAST_CELLS <= width:
            break
        kept.remove(place)
    return kept


def _row_text(line: _Line, kept: Sequence[int], widths: Sequence[int], width: int, palette: Palette) -> str:
    found, used = [], 0
    for place, cells in zip(kept, widths, strict=True):
        room = min(cells, width - used)
        if room <= 0:
            break
        found.append(_colored(_fit(line.texts[place], room), line.states[place], palette))
        used += room + len(_GAP)
    if line.last and width - used >= LAST_CELLS:
        found.append(_colored(_cut(line.last, width - used), line.states[0], palette))
    return _GAP.join(found)


def _colored(text: str, state: State | None, palette: Palette) -> str:
    if state is None:
        return palette.faint(text)
    level = _LEVELS.get(state)
    return palette.level(level, text) if level is not None else text


def _fit(text: str, cells: int) -> str:
    """Return the text in exactly so many cells."""
    return set_cell_size(text, cells)


def _cut(text: str, cells: int) -> str:
    """Return the text in so many cells at most."""
    text = text[: cells + 1]  # no character is narrower than a cell, but for a few that matter little
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"

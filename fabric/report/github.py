"""What GitHub Actions shows of a run: annotations at the lines of the trial, and a step summary.

Annotations are lines that the runner finds in what a step prints; the summary is a file that it names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fabric.errors import FabricError
from fabric.report.quantities import beside
from fabric.report.results import Result, StepResult, number, steps_of, variables_of, whys_of
from fabric.report.style import printable, printable_lines
from fabric.trial.diagnostics import Diagnostic, TrialError

MAX_ANNOTATIONS: Final = 10
"""Most errors, and most warnings, of one step that GitHub shows."""

MAX_MESSAGE_CHARS: Final = 4000
"""Longest message of an annotation: GitHub takes 4 KiB of one."""

MAX_SUMMARY_BYTES: Final = 1024 * 1024
"""Largest summary of one step; of a larger one GitHub shows nothing."""

MAX_ROWS: Final = 200
"""Most rows of a table: a person reads no more, and result.json has them all."""

MAX_FAILED: Final = 50
"""Most failed steps whose last lines are shown."""

_MARKS: Final = {"pass": "\N{WHITE HEAVY CHECK MARK}"}
_CUT: Final = "\n*The summary is cut here: it would be over GitHub's limit of 1 MiB.*\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One message at a line of a file."""

    level: Literal["error", "warning"]
    message: str
    title: str = ""
    file: str = ""
    line: int = 0
    col: int = 0
    end_col: int = 0

    def command(self) -> str:
        """Return it as a workflow command."""
        values = {
            "file": self.file,
            "line": self.line,
            "col": self.col,
            "endColumn": self.end_col,
            "title": self.title,
        }
        properties = ",".join(f"{key}={_property(str(value))}" for key, value in values.items() if value)
        return f"::{self.level}{' ' if properties else ''}{properties}::{_data(self.message)}"


def is_github(environ: Mapping[str, str]) -> bool:
    """Say whether this runs in a step of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"


def annotations_of(result: Result) -> list[Annotation]:
    """Return an annotation for each reason of the verdict."""
    found = []
    for file, line, text in whys_of(result):
        what, colon, how = text.partition(": ")
        title = what if colon else str(result.get("verdict") or "")
        found.append(
            Annotation(level="error", message=how if colon else text, title=title, file=file, line=line)
        )
    return found


def diagnostic_annotations(diagnostics: Iterable[Diagnostic]) -> list[Annotation]:
    """Return an annotation for each error and warning about a trial file."""
    return [
        Annotation(
            level="error" if one.is_error else "warning",
            message=f"{one.message}\n{one.hint}" if one.hint else one.message,
            title=one.code,
            file=one.path,
            line=one.line,
            col=one.col if one.line else 0,
            end_col=one.end_col if one.line else 0,
        )
        for one in diagnostics
    ]


def annotate(annotations: Iterable[Annotation], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines to print: no more of them than GitHub shows, files as they are in the repository."""
    left = {"error": MAX_ANNOTATIONS, "warning": MAX_ANNOTATIONS}
    workspace = environ.get("GITHUB_WORKSPACE", "")
    for one in annotations:
        if left[one.level]:
            left[one.level] -= 1
            file = _in_repository(one.file, workspace)
            yield Annotation(
                level=one.level,
                message=one.message,
                title=one.title,
                file=file,
                line=one.line if file else 0,
                col=one.col,
                end_col=one.end_col,
            ).command()


def _append(blocks: Iterable[str], path: Path) -> None:
    """Append blocks, as far as there is room.

    Raises:
        OSError: If they cannot be written.
    """
    with path.open("ab") as file:
        room = MAX_SUMMARY_BYTES - file.tell() - len(_CUT.encode())
        for block in blocks:
            text = block.encode(errors="replace")
            if len(text) > room:
                if room > 0:
                    file.write(_CUT.encode())
                return
            file.write(text)
            room -= len(text)


def summary_blocks(result: Result, bundle: Path | None) -> Iterator[str]:
    """Yield the summary in Markdown, in blocks of which each can be the last one."""
    verdict = str(result.get("verdict") or "error")
    yield f"## {_MARKS.get(verdict, chr(0x274C))} {_text(str(result.get('name') or 'trial'))}: {verdict}\n\n"
    yield from (f"- {_place(file, line)}{_text(text)}\n" for file, line, text in whys_of(result))
    yield from _facts(result, bundle)
    yield from _table("Checks", _CHECK_HEAD, list(_check_rows(result)))
    yield from _table("Metrics", _METRIC_HEAD, list(_metric_rows(result)))
    failed = [step for step in steps_of(result) if step.failed and not step.void]
    if failed:
        yield "\n### Failed steps\n"
    yield from (_failed(step, result) for step in failed[:MAX_FAILED])
    if len(failed) > MAX_FAILED:
        yield f"\n... and {len(failed) - MAX_FAILED} more\n"


def _facts(result: Result, bundle: Path | None) -> Iterator[str]:
    run, duration_s = result.get("run"), result.get("duration_s")
    took = f" took {duration_s:.1f} s" if duration_s is not None else ""
    yield f"\nRun {_code(str(run))}{took}"
    yield f", bundle {_code(str(bundle))}\n" if bundle is not None else "\n"


_CHECK_HEAD: Final = ("metric", "wanted", "found", "cell", "repeat", "")
_METRIC_HEAD: Final = ("metric", "unit", "cell", "n", "median", "mean", "min", "max", "stdev")


def _check_rows(result: Result) -> Iterator[Sequence[str]]:
    """Yield the checks, those that do not hold first."""
    variables = variables_of(result)
    for check in sorted(result.get("checks") or (), key=lambda one: bool(one.get("ok"))):
        cell = check.get("cell") or 0
        limit = check.get("limit_text") or number(check.get("limit"))
        yield (
            str(check.get("metric", "")),
            f"{check.get('kind', '')} {limit}",
            _found(check),
            variables.get(cell, str(cell or "")),
            str(check.get("repeat") or ""),
            "ok" if check.get("ok") else "**failed**",
        )


def _found(check: Mapping[str, Any]) -> str:
    value = check.get("value")
    return "-" if value is None else beside(value, check.get("limit", value), check.get("unit") or "")


def _metric_rows(result: Result) -> Iterator[Sequence[str]]:
    variables = variables_of(result)
    for metric in result.get("metrics") or ():
        for cell in metric.get("cells") or ():
            values = [number(cell.get(name)) for name in ("median", "mean", "min", "max", "stdev")]
            where = cell.get("cell") or 0
            yield (
                str(metric.get("name", "")),
                str(metric.get("unit") or ""),
                variables.get(where, str(where or "")),
                str(cell.get("n", "-")),
                *values,
            )


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    lines = [f"\n### {title}\n", _row(head), _row(["---"] * len(head)), *map(_row, rows[:MAX_ROWS])]
    yield "\n".join(lines) + "\n"
    if len(rows) > MAX_ROWS:
        yield f"\n... and {len(rows) - MAX_ROWS} more in result.json\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell if cell == '**failed**' else _text(cell) for cell in cells)} |"


def _failed(step: StepResult, result: Result) -> str:
    file, _, line = step.place(result).rpartition(":")
    place = _place(file, int(line)) if line.isdigit() else ""
    text = f"\n{place}{_text(step.what())}: {_text(step.message)}\n"
    if step.tail:
        content = printable_lines("\n".join(step.tail))
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", content)), 0)
        text += f"\n{fence}text\n{content}\n{fence}\n"
    return text


def _place(file: str, line: int) -> str:
    return f"{_code(f'{file}:{line}')} " if file else ""


def _code(text: str) -> str:
    return f"`{printable(text).replace('`', chr(39))}`"


_MARKDOWN: Final = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_[]|~#"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": " ", "\r": " "}
)


def _text(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return printable_lines(text).translate(_MARKDOWN)


def _in_repository(file: str, workspace: str) -> str:
    """Return a path as GitHub knows it, from the root of the repository."""
    if not file or not workspace:
        return file
    full, root = Path(file).resolve(), Path(workspace).resolve()
    return str(full.relative_to(root)) if full.is_relative_to(root) else file


def _data(text: str) -> str:
    """Return a text as a command carries it: whatever a program wrote, no byte of it steers the log."""
    return printable_lines(text)[:MAX_MESSAGE_CHARS].replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def report(result: Mapping[str, Any], bundle: Path | None, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines to print for GitHub at the end of a run, after writing the step's summary.

    Nothing of it fails a run: a summary that cannot be written is told as a warning.
    """
    if not is_github(environ):
        return
    yield from annotate(annotations_of(result), environ)
    yield from _summarized(summary_blocks(result, bundle), environ)


def refuse(error: FabricError, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines to print for GitHub if nothing was run, after writing the step's summary."""
    if not is_github(environ):
        return
    if isinstance(error, TrialError):
        yield from annotate(diagnostic_annotations(error.diagnostics), environ)
    else:
        yield from annotate([Annotation(level="error", message=f"{error}\n{error.hint}".strip())], environ)
    yield from _summarized(_refusal_blocks(error), environ)


def _refusal_blocks(error: FabricError) -> Iterator[str]:
    what = "not run: the trial is wrong" if isinstance(error, TrialError) else "error"
    yield f"## {chr(0x274C)} {what}\n\n"
    if not isinstance(error, TrialError):
        yield f"- {_text(str(error))}\n"
        return
    for one in error.diagnostics[:MAX_ROWS]:
        place = _place(one.path, one.line) if one.line else f"{_code(one.path)} "
        yield f"- {place}{one.code}: {_text(one.message)}\n"
    if len(error.diagnostics) > MAX_ROWS:
        yield f"\n... and {len(error.diagnostics) - MAX_ROWS} more\n"


def _summarized(blocks: Iterable[str], environ: Mapping[str, str]) -> Iterator[str]:
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        _append(blocks, Path(path))
    except OSError as error:
        message = f"the step summary cannot be written: {error.strerror or error}"
        yield Annotation(level="warning", message=message).command()

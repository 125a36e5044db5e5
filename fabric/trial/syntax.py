"""TOML text to plain values; what `tomllib` refuses becomes a problem at its place, with a way out.

The hints are for the stumbling blocks that people really hit, recognised by `tomllib`'s wording.  Another
wording in another Python costs the hint, not the error.
"""

import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from fabric.trial.durations import clock
from fabric.trial.positions import Clash, Span
from fabric.trial.problems import Problems
from fabric.trial.vocabulary import SETTING_SECTIONS

_PLACE: Final = re.compile(
    r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<col>\d+)|end of document)\)", re.DOTALL
)
_TOKEN: Final = re.compile(r"[^\s,\[\]{}=#\"']+")
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+")
_CLOCK: Final = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2})")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What `tomllib` said, and where in the line it stopped reading."""

    what: str
    number: int  # of the line, from 1
    line: str
    at: int  # index into the line; may be one behind its end
    end_of_document: bool


@dataclass(frozen=True, slots=True)
class _Advice:
    message: str
    hint: str = ""
    start: int | None = None  # indices into the line; None: where tomllib stopped
    end: int | None = None


def read_toml(text: str, problems: Problems) -> dict[str, Any] | None:
    """Return the values of a TOML text (lines end in LF), or None after noting why there are none."""
    try:
        return tomllib.loads(text)
    except ValueError as error:
        _explain(str(error), text, problems)
    return None


def _explain(what: str, text: str, problems: Problems) -> None:
    clashes = problems.positions.clashes() if what.startswith("Cannot ") else []
    for clash in clashes:
        message, hint = _about_clash(clash)
        problems.at(clash.second, "E010", message, hint)
    if clashes:
        return
    refusal = _locate(what, text)
    advice = _about_value(refusal) or _about_string(refusal) or _about_structure(refusal)
    start = refusal.at if advice.start is None else advice.start
    end = start + 1 if advice.end is None else advice.end
    span = Span(refusal.number, start + 1, refusal.number, end + 1)
    problems.at(span, "E010", advice.message, advice.hint)


def _locate(what: str, text: str) -> _Refusal:
    match = _PLACE.fullmatch(what)
    lines = text.split("\n")
    if match is None:
        return _Refusal(what, 1, lines[0], 0, end_of_document=False)
    if match["line"] is None:  # the last line with something on it is where the eye looks
        number = max((n for n, line in enumerate(lines, 1) if line.strip()), default=1)
        line = lines[number - 1].rstrip()
        return _Refusal(match["what"], number, line, len(line), end_of_document=True)
    number = int(match["line"])
    return _Refusal(match["what"], number, lines[number - 1], int(match["col"]) - 1, end_of_document=False)


def _about_clash(clash: Clash) -> tuple[str, str]:
    *_, key = clash.path
    first = f"first on line {clash.first.line}"
    is_role = len(clash.path) == 2 and clash.path[0] not in SETTING_SECTIONS  # noqa: PLR2004 - phase and role
    if is_role:
        phase = clash.path[0]
        return (
            f"the steps of `{key}` in `{phase}` are written in two forms",
            f"{first}; write all of them as [[{phase}.{key}]] tables, or all in one list",
        )
    return f"`{key}` is written twice", first


def _about_value(refusal: _Refusal) -> _Advice | None:
    """Recognise a value that lacks its quotes."""
    if not refusal.what.startswith(("Expected newline", "Invalid value", "Unclosed")):
        return None
    for token in _TOKEN.finditer(refusal.line):
        if token.start() <= refusal.at < token.end():
            break
    else:
        if refusal.what.startswith("Invalid value") and not refusal.line[refusal.at :].strip():
            return _Advice("a value is missing behind `=`")
        return None
    word, start, end = token[0], token.start(), token.end()
    if _DURATION.fullmatch(word):
        return _Advice(
            f"`{word}` is no TOML value: a duration stands in quotes", f'write "{word}"', start, end
        )
    if match := _CLOCK.fullmatch(word):
        hint = f'write "{clock(*(int(part or 0) for part in match.groups()))}"'
        return _Advice(f"`{word}` is no duration", hint, start, end)
    if word in ("True", "False"):
        return _Advice(f"`{word}` is no TOML value", f"write {word.lower()}", start, end)
    if refusal.what.startswith("Invalid value") and refusal.at == start:
        return _Advice(f"`{word}` is no TOML value", f'text stands in quotes: "{word}"', start, end)
    return None


def _about_string(refusal: _Refusal) -> _Advice | None:
    if refusal.what.startswith("Unescaped '\\'"):
        start = refusal.line.rfind("\\", 0, refusal.at)
        pair = refusal.line[start : start + 2]
        hint = "write it in single quotes, '...', where a backslash is just a backslash"
        return _Advice(f"`{pair}` means nothing in double quotes", hint, start, start + 2)
    if refusal.what.startswith("Illegal character '\\n'"):
        return _Advice(
            "the string does not end on its line",
            'close it, or put text of several lines between """ and """',
        )
    if refusal.what.startswith("Expected newline") and refusal.line[: refusal.at].endswith("'"):
        return _Advice(
            "the string ended at this single quote",
            "text with a single quote stands in double quotes",
            refusal.at - 1,
        )
    return _about_double_quotes(refusal)


def _about_double_quotes(refusal: _Refusal) -> _Advice | None:
    """Recognise double quotes within double quotes: text goes on behind the second one, up to another."""
    if not refusal.what.startswith(("Expected newline", "Unclosed array", "Unclosed inline table")):
        return None
    before, rest = refusal.line[: refusal.at].rstrip(), refusal.line[refusal.at :]
    if before.endswith('"') and '"' in rest and rest[0] not in "\"',":
        return _Advice(
            "the string ended at this double quote",
            """text with double quotes stands in single quotes: 'echo "hi"'""",
            len(before) - 1,
        )
    return None


def _about_structure(refusal: _Refusal) -> _Advice:
    rest = refusal.line[refusal.at :].strip()
    if refusal.what.startswith(("Invalid initial character for a key part", "Unclosed inline table")):
        if "{" in refusal.line[: refusal.at] and (not rest or rest.startswith("#")):
            return _Advice(
                "a table in { } has to stand on one line",
                "write a table of its own, as [[run.client]], with one key on each line",
                refusal.line.rfind("{", 0, refusal.at),
            )
        if rest.startswith("}"):
            return _Advice("a table in { } must not end with a comma")
    place = " at the end of the file" if refusal.end_of_document else ""
    hint = "write: key = value" if refusal.what.startswith("Expected '=' after a key") else ""
    return _Advice(f"not TOML{place}: {refusal.what[:1].lower()}{refusal.what[1:]}", hint)

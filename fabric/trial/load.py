"""trial.toml to a `Trial`, or everything that is wrong with it."""

import os
import re
from pathlib import Path
from typing import Any, Final

from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.trial.diagnostics import Diagnostic, TrialError
from fabric.trial.keys import TRIAL_KEYS, split_keys
from fabric.trial.model import Trial
from fabric.trial.positions import Positions
from fabric.trial.problems import Problems
from fabric.trial.roles import read_roles
from fabric.trial.steps import read_steps
from fabric.trial.syntax import read_toml
from fabric.trial.tables import TrialTable, read_table
from fabric.trial.vocabulary import LATER_SECTIONS, LATER_TRIAL_KEYS, PHASES, SECTIONS

MAX_KEY_PARTS: Final = 32
"""Most parts of a dotted key.  `tomllib` takes memory with the square of their number: a file within the
size limit could ask for tens of gigabytes."""

_PART: Final = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*"
_LONG_KEY: Final = re.compile(rf"(?:^|[\[{{,])[ \t]*((?:{_PART}\.[ \t]*){{{MAX_KEY_PARTS}}})", re.MULTILINE)
_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


def load_trial(path: Path) -> Trial:
    """Read a trial file.

    Raises:
        TrialError: If there is no such file, or anything is wrong with it.
    """
    name = str(path)
    try:
        if path.is_dir():
            raise _whole_file(name, "E001", "this is a directory", "name the trial.toml in it")
        with path.open("rb") as file:
            raw = file.read(MAX_TEXT_BYTES + 1)  # no more: it may be /dev/zero
    except FileNotFoundError:
        raise _whole_file(name, "E001", "there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise _whole_file(name, "E001", f"cannot be read: {reason}") from None
    if len(raw) > MAX_TEXT_BYTES:
        raise _too_large(name)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(name, raw, error.start) from None
    return parse_trial(text, name)


def parse_trial(text: str, path: str) -> Trial:
    """Return the trial that a text describes.

    Args:
        text: Of the file.
        path: As diagnostics and messages shall name the file.

    Raises:
        TrialError: If anything is wrong with it; it has every error and warning, each at its place.
    """
    lines = _checked_text(text, path)
    problems = Problems(path, Positions(lines))
    document = read_toml(lines, problems)
    trial = None if document is None else _build(document, text, problems)
    if trial is None or problems.any_errors:
        raise TrialError(problems.found)
    return trial


def _checked_text(text: str, path: str) -> str:
    """Return the text with lines that end in LF, if it can be a trial at all."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:  # a lone surrogate
        raise _whole_file(path, "E003", f"not Unicode text: {error.reason}") from None
    if size > MAX_TEXT_BYTES:
        raise _too_large(path)
    if text.startswith(_BOM):
        raise _at_start(
            path, "E004", "the file begins with a byte order mark", "save it as UTF-8 without BOM"
        )
    if not text.strip():
        raise _whole_file(path, "E005", "the file is empty")
    text = text.replace("\r\n", "\n")
    if long_key := _LONG_KEY.search(text):
        raise _key_too_long(path, text, long_key.start(1), long_key.end(1))
    return text


def _build(document: dict[str, Any], text: str, problems: Problems) -> Trial | None:
    split_keys(document, (), SECTIONS, LATER_SECTIONS, problems)
    table = _trial_table(document, problems)
    if "nodes" not in document:
        hint = 'write [nodes] and below it client = "lab1"'
        problems.missing("there is no [nodes]: who takes part?", hint)
    roles = read_roles(document["nodes"], problems) if "nodes" in document else {}
    steps = read_steps(document, tuple(roles), problems)
    if not any(phase in document for phase in PHASES):
        hint = 'write [run] and below it client = "command"'
        problems.missing("there is no phase: what is to be done?", hint)
    if table is None or problems.any_errors:
        return None
    return Trial(
        path=problems.path,
        text=text,
        name=table.name,
        repeat=table.repeat,
        timeout_s=table.timeout,
        max_skew_s=table.max_skew,
        lead_s=table.lead,
        on_lost=table.on_lost,
        roles=roles,
        steps=steps,
        warnings=tuple(problems.found),
    )


def _trial_table(document: dict[str, Any], problems: Problems) -> TrialTable | None:
    if "trial" not in document:
        problems.missing("there is no [trial]", 'write [trial] and below it name = "..."')
        return None
    raw = document["trial"]
    if not isinstance(raw, dict):
        problems.at_key(
            ("trial",), "E016", "`trial` needs a table", 'write [trial] and below it name = "..."'
        )
        return None
    known, _ = split_keys(raw, ("trial",), TRIAL_KEYS, LATER_TRIAL_KEYS, problems)
    return read_table(TrialTable, known, ("trial",), problems)


# --- about the file itself ------------------------------------------------------------------------------


def _whole_file(path: str, code: str, message: str, hint: str = "") -> TrialError:
    one = Diagnostic(path=path, line=0, col=0, end_col=0, code=code, message=message, hint=hint)
    return TrialError([one])


def _at_start(path: str, code: str, message: str, hint: str) -> TrialError:
    return TrialError(
        [Diagnostic(path=path, line=1, col=1, end_col=2, code=code, message=message, hint=hint)]
    )


def _key_too_long(path: str, text: str, start: int, end: int) -> TrialError:
    line_start = text.rfind("\n", 0, start) + 1
    one = Diagnostic(
        path=path,
        line=text.count("\n", 0, start) + 1,
        col=start - line_start + 1,
        end_col=end - line_start + 1,
        code="E010",
        message=f"a key has more than {MAX_KEY_PARTS} parts",
        source=text[line_start:].split("\n", 1)[0],
    )
    return TrialError([one])


def _too_large(path: str) -> TrialError:
    return _whole_file(path, "E002", f"larger than the limit of {MAX_TEXT_BYTES // 1024} KiB for a trial")


def _not_utf8(path: str, raw: bytes, start: int) -> TrialError:
    before = raw[:start].decode()
    line = raw[before.encode().rfind(b"\n") + 1 :].split(b"\n")[0].decode(errors="replace")
    number, col = before.count("\n") + 1, len(before) - before.rfind("\n")
    one = Diagnostic(
        path=path,
        line=number,
        col=col,
        end_col=col + 1,
        code="E003",
        message=f"not UTF-8: byte 0x{raw[start]:02x}",
        hint="save it as UTF-8",
        source=line.rstrip("\r"),
    )
    return TrialError([one])

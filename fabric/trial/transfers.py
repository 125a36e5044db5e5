"""What a put takes and a fetch brings back."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator

from fabric.trial.model import PutSource
from fabric.trial.nodepaths import pattern_problem, target_problem
from fabric.trial.positions import Path
from fabric.trial.problems import Problems
from fabric.trial.values import path, text, wrong

MAX_PATTERNS: Final = 200
"""Most files or patterns of one put or fetch: a directory or a glob says the same in one."""

Look = Callable[[str], str]
"""Says what is wrong with a source of a put, beside the trial file; "" if it is there."""

_GLOB: Final = re.compile(r"[*?\[]")
_PUT_HINT: Final = 'write {key} = "file", {key} = ["a", "b"] or {key} = { "file" = "path on the node" }'


def put_sources(value: Any) -> tuple[PutSource, ...]:
    """Return the sources of a put, in their order."""
    if isinstance(value, str):
        sources = [_source(value, None, ())]
    elif isinstance(value, list):
        sources = [_source(item, None, (index,)) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        sources = [_source(source, target, (source,)) for source, target in value.items()]
    else:
        raise wrong("E016", "needs the name of a file, or several", _PUT_HINT)
    _check_number(sources)
    seen: dict[str, str] = {}
    for index, one in enumerate(sources):
        where = _place(one)
        if is_glob(one.source):
            continue
        if where in seen:
            message = f"copies `{seen[where]}` and `{one.source}` to the same place, `{where}`"
            at = () if isinstance(value, str) else (index,) if isinstance(value, list) else (one.source,)
            raise wrong("E024", message, 'say where: { "a/x" = "x1", "b/x" = "x2" }', at=at)
        seen[where] = one.source
    return tuple(sources)


def fetch_patterns(value: Any) -> tuple[str, ...]:
    """Return the patterns of a fetch."""
    is_list = isinstance(value, list)
    found = [
        _pattern(item, (index,) if is_list else ())
        for index, item in enumerate(value if is_list else [value])
    ]
    _check_number(found)
    return tuple(found)


def is_glob(source: str) -> bool:
    """Whether a source is a pattern, so that it may stand for several files."""
    return bool(_GLOB.search(source))


def base_name(source: str) -> str:
    """Return the name that a source has on the node if nothing else is said."""
    return source.rstrip("/").rpartition("/")[2]


def _place(one: PutSource) -> str:
    """Return where a source goes, as written: into a place that ends in `/` under its own name."""
    name = base_name(one.source)
    if one.target is None:
        return name
    return f"{one.target}{name}" if one.target.endswith("/") else one.target


def check_sources(where: Path, table: Mapping[str, Any], look: Look, problems: Problems) -> None:
    """Note each source of a put that is not there.  ``table`` is a step as read."""
    raw = table.get("put")
    is_list = isinstance(raw, list)
    sources = [raw] if isinstance(raw, str) else list(raw) if isinstance(raw, list | dict) else []
    for index, source in enumerate(sources):
        problem = look(source) if isinstance(source, str) and source and not source.startswith("~") else ""
        if problem:
            place = (
                (*where, "put", index if is_list else source) if not isinstance(raw, str) else (*where, "put")
            )
            hint = "files are looked for beside the trial file"
            if "$" in source:
                hint = f"{hint}; no `$name` is expanded in what is copied"
            note = problems.at_key if isinstance(raw, dict) else problems.at_value
            note(place, "E024", f"`put`: {problem}", hint)


def _source(source: Any, target: Any, at: tuple[str | int, ...]) -> PutSource:
    if not isinstance(source, str) or not (target is None or isinstance(target, str)):
        raise wrong("E016", "needs names of files in quotes", _PUT_HINT, at=at)
    for one in (source,) if target is None else (source, target):
        if problem := target_problem(text(one)):
            raise wrong(*problem, at=at)
    if base_name(source) in ("", ".", ".."):
        hint = "name the directory itself, or `dir/*` for all that is in it"
        raise wrong("E024", f"takes `{source}`, which has no name on the node", hint, at=at)
    return PutSource(source=source, target=target)


def _pattern(value: Any, at: tuple[int, ...]) -> str:
    if not isinstance(value, str):
        hint = 'write {key} = "*.log" or {key} = ["*.log", "core"]'
        raise wrong("E016", "needs a path or a pattern in quotes, or a list of them", hint, at=at)
    if problem := pattern_problem(text(value)):
        raise wrong(*problem, at=at)
    return value


def _check_number(found: list[Any]) -> None:
    if not found:
        raise wrong("E018", "is empty")
    if len(found) > MAX_PATTERNS:
        raise wrong("E022", f"has {len(found)} entries, over the limit of {MAX_PATTERNS}", "name a directory")


def stdin(value: Any) -> str | dict[str, str]:
    """Return the text that a program reads, or the file on the node that it reads from."""
    if isinstance(value, str):
        if len(value.encode()) > MAX_STDIN_BYTES:
            hint = 'put it as a file, and write {key} = { file = "its path on the node" }'
            raise wrong("E018", f"is longer than the limit of {MAX_STDIN_BYTES // 1024} KiB", hint)
        return value
    if not isinstance(value, dict) or set(value) != {"file"}:
        raise wrong(
            "E016", "needs a text, or a file on the node", 'write {key} = "text" or {key} = { file = "path" }'
        )
    return {"file": path(value["file"])}


MAX_STDIN_BYTES: Final = 64 * 1024
"""Longest text for a program: it is sent to each node in the message that prepares the phase."""

_NAMES: Final = Annotated[
    list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=MAX_PATTERNS)
]
_STDIN: Final = str | dict[str, str]
_FILLED: Final = Annotated[str, Field(min_length=1)]

Put = Annotated[
    tuple[PutSource, ...],
    PlainValidator(put_sources, json_schema_input_type=_FILLED | _NAMES | dict[str, str]),
]
Fetch = Annotated[tuple[str, ...], PlainValidator(fetch_patterns, json_schema_input_type=_FILLED | _NAMES)]
Stdin = Annotated[str | dict[str, str], PlainValidator(stdin, json_schema_input_type=_STDIN)]

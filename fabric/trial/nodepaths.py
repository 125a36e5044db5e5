"""PURE.  What is wrong with a path on a node, whether it is written out or comes of `$names`."""

from typing import NamedTuple


class Problem(NamedTuple):
    """The message continues "`fetch` ..."."""

    code: str
    message: str
    hint: str = ""


_EMPTY = Problem("E018", "is empty")


def pattern_problem(value: str) -> Problem | None:
    """Say what is wrong with a pattern of a fetch."""
    if not value.strip():
        return _EMPTY
    if value.startswith("~"):
        hint = "write the whole path, or one relative to the step's directory"
        return Problem("E024", "begins with `~`, which nobody expands here", hint)
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if ".." in parts:
        hint = "a file is kept under its path on the node: write the whole path"
        return Problem("E024", f"goes up with `..` in `{value}`", hint)
    if not parts:
        return Problem("E024", f"would bring all of `{value}`", "name the files: *.log")
    return None


def target_problem(value: str) -> Problem | None:
    """Say what is wrong with the place of a put; it may go up, for it is a place like any other."""
    if not value.strip():
        return _EMPTY
    if value.startswith("~"):
        return Problem("E024", "begins with `~`, which nobody expands here", "write the whole path")
    return None

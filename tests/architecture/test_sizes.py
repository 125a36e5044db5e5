"""Where a file or a function grows long, an idea is missing."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT

FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 60

KNOWN: dict[str, str] = {}
"""Files over the limit, and why that is so now."""

FILES = [
    file.relative_to(ROOT)
    for folder in (*PACKAGES, "scripts", "tests")
    for file in sorted((ROOT / folder).rglob("*.py"))
]


def test_no_file_is_too_long() -> None:
    """A file holds one idea; who looks for it reads all of it."""
    long = {str(file) for file in FILES if _lines(file) > _limit(file)}
    assert long - KNOWN.keys() == set()


def test_what_is_known_to_be_too_long_still_is() -> None:
    """An exception that nobody needs any more would hide the next one."""
    for name in KNOWN:
        assert (ROOT / name).exists(), f"{name} is gone: take it out of KNOWN"
        assert _lines(Path(name)) > _limit(Path(name)), f"{name} is short enough: take it out of KNOWN"


@pytest.mark.parametrize("folder", [*PACKAGES, "scripts", "tests"])
def test_no_function_is_too_long(folder: str) -> None:
    """What does not fit on a screen is not seen at once."""
    long = [
        f"{file}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for file in FILES
        if file.parts[0] == folder
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    assert long == []


def _lines(file: Path) -> int:
    return len((ROOT / file).read_text().splitlines())


def _limit(file: Path) -> int:
    return TEST_FILE_LINES if file.parts[0] == "tests" else FILE_LINES

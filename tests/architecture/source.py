"""The product's modules and what they import, read from their source without running it."""

import ast
import sys
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fabric", "broker", "agents")


@cache
def modules() -> dict[str, Path]:
    """Return the file of each module by its full name; a package is its ``__init__``."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {_name(file): file for file in files if "migrations" not in file.parts}


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(name: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(modules()[name].read_text())


@cache
def imports(name: str) -> frozenset[str]:
    """Return what a module imports, also inside functions, but not only for the type checker.

    ``from a import b`` is ``a.b`` if that is a module, else ``a``.
    """
    found: set[str] = set()
    for node in _running(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{name}: imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules() else node.module)
    return frozenset(found)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _running(child)


def closure(starts: Collection[str], *, through_packages: bool = True) -> set[str]:
    """Return the product's modules that ``starts`` import, directly or not, and themselves.

    Python runs the packages above a module too; without ``through_packages`` they are left out.
    """
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name in found or name not in modules():
            continue
        found.add(name)
        waiting += imports(name)
        parent = name.rpartition(".")[0]
        if through_packages and parent:
            waiting.append(parent)
    return found


def foreign(names: Collection[str]) -> set[str]:
    """Return the top-level names of what these modules import from other projects."""
    tops = {found.partition(".")[0] for name in names for found in imports(name)}
    return tops - set(PACKAGES) - set(sys.stdlib_module_names)


def stdlib(names: Collection[str]) -> set[str]:
    """Return the top-level names of what these modules import from the standard library."""
    return {found.partition(".")[0] for name in names for found in imports(name)} & set(
        sys.stdlib_module_names
    )

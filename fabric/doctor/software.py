"""Python, the packages that are needed, and whether the three import names mean this product."""

import platform
import re
import sys
from collections.abc import Iterable
from importlib import metadata, util
from pathlib import Path
from typing import Final

import fabric
from fabric.doctor.findings import Finding

DISTRIBUTION: Final = "testfabric"
NAMES: Final = ("fabric", "broker", "agents")
"""What the product is imported as.  Another Fabric, for SSH, is among the packages of many machines."""

ON_A_NODE: Final = frozenset({"pyzmq", "msgpack", "click", "structlog"})

_LEAST_PYTHON: Final = (3, 11)
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?[^;]*(;.*)?")


def look_at_software(only: Iterable[str] | None = None) -> list[Finding]:
    """Return what is found of Python, packages and names.

    Args:
        only: The packages to look at; None: all that are required.
    """
    return [_python(), *_packages(None if only is None else frozenset(only)), *_names()]


def _python() -> Finding:
    said = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if sys.version_info < _LEAST_PYTHON:
        return Finding("bad", "python", said, "3.11 or newer is needed")
    return Finding("ok", "python", said)


def _packages(only: frozenset[str] | None) -> list[Finding]:
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [
            Finding(
                "warn",
                "packages",
                f"{DISTRIBUTION} is not installed, it runs from {_root()}",
                "pip install .",
            )
        ]
    wrong, good = [], []
    for text in required:
        match = _REQUIREMENT.fullmatch(text)
        if match is None or match[3] or (only is not None and match[1] not in only):
            continue
        have, least = _version(match[1]), match[2] or ""
        if have is None or (least and _numbers(have) < _numbers(least)):
            wrong.append(f"{match[1]} {have or 'is missing'}{f' (needs {least})' if least else ''}")
        else:
            good.append(f"{match[1]} {have}")
    if wrong:
        return [
            Finding(
                "bad",
                "packages",
                ", ".join(wrong),
                f"{sys.executable} -m pip install --upgrade {DISTRIBUTION}",
            )
        ]
    return [Finding("ok", "packages", ", ".join(good))]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _names() -> list[Finding]:
    """Look who else is called like one of our packages."""
    found = [finding for name in NAMES for finding in _name(name)]
    return found or [Finding("ok", "import names", f"{', '.join(NAMES)} are those of {_root()}")]


def _name(name: str) -> list[Finding]:
    spec = util.find_spec(name)
    place = Path(spec.origin).parent if spec and spec.origin else None
    if place != _root() / name:
        hint = "remove it, or take it off PYTHONPATH; an environment of its own has no such neighbours"
        return [
            Finding("bad", "import names", f"`{name}` is {place or 'missing'}, not {_root() / name}", hint)
        ]
    others = [
        folder
        for folder in map(Path, sys.path)
        if folder.resolve() != _root()
        and ((folder / name / "__init__.py").exists() or (folder / f"{name}.py").exists())
    ]
    return [
        Finding(
            "warn",
            "import names",
            f"`{name}` is also in {folder}",
            "an environment of its own has no such neighbours",
        )
        for folder in others
    ]


def _root() -> Path:
    return Path(fabric.__file__).resolve().parent.parent

"""Machines decide and never wait: no clock, socket, file or random source in a PURE module."""

import ast

import pytest

from tests.architecture.source import closure, foreign, modules, stdlib, tree

# A module of these packages is PURE unless it is named here: who adds a shell says so.
SHELLS = {
    "fabric.protocol": set(),
    "fabric.protocol.messages": set(),
    "fabric.timing": set(),
    "fabric.trial": {"explain", "load"},
    "fabric.trial.importers": {"foreign"},
    "fabric.controller": {
        *(
            "bundling",
            "connection",
            "execute",
            "fileserver",
            "finding",
            "local",
            "lookup",
            "measuring",
            "position",
        ),
        *("cleaning", "enrolling", "keyring", "resuming", "runid", "session", "sources", "tail", "trialrun"),
        "upkeep",
    },
    "broker": {
        *(
            "__main__",
            "borrowing",
            "callers",
            "cli",
            "copying",
            "doctor",
            "doorkeeper",
            "memory",
            "service",
            "server",
            "hands",
            "reading",
        ),
        *("home", "identity", "logs", "opener", "retiring", "settings", "sockets", "zap", "selftest"),
    },
    "agents": {
        *("__main__", "cli", "run", "node", "facts", "identity", "settings", "state", "surroundings"),
        *("policing", "policy_options", "policy_settings"),
        *("launching", "parts", "pipes", "recovery", "removal", "shipping", "sockets"),
        *(
            "dirty",
            "awaiting",
            "broken_disk",
            "disks",
            "doctor",
            "hands",
            "hello",
            "inheriting",
            "kernel_clock",
            "leaving",
            "listeners",
            "looking",
            "memofile",
            "nursery",
            "owed",
            "probe_pipes",
            "tidying",
            "timekeeping",
        ),
    },
}
MORE_PURE = {
    "fabric.tomltext",
    "agents.journal.limits",
    "agents.transfers.limits",
    "agents.transfers.pull",
    "agents.journal.window",
    "agents.launcher.events",
    "agents.launcher.lease",
    "agents.launcher.looks",
    "agents.launcher.schedule",
    "agents.launcher.shellwords",
    "fabric.store.entry",
    *(f"fabric.report.{name}" for name in ("blocks", "events", "failures", "filenames", "fold", "frame")),
    *(
        f"fabric.report.{name}"
        for name in ("idle", "lines", "order", "paths", "places", "quantities", "recent")
    ),
    *(
        f"fabric.report.{name}"
        for name in (
            "sentences",
            "streams",
            "style",
            "summary",
            "text",
            "junit",
            "results",
            "whose",
            "reasons",
        )
    ),
    *(f"fabric.report.{name}" for name in ("board", "progress", "rows", "plan_json", "plan_text")),
}
COMMON = {"fabric.errors", "fabric.searching"}
"""What is neither machine nor shell."""

STDLIB = {
    *("__future__", "bisect", "codecs", "collections", "copy", "dataclasses", "datetime", "difflib", "enum"),
    *(
        "fnmatch",
        "fractions",
        "functools",
        "reprlib",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
        "math",
        "operator",
    ),
    *("pathlib", "re", "shlex", "signal", "statistics"),
    *("string", "struct", "tomllib", "types", "typing", "unicodedata", "warnings", "xml", "zlib"),
}
FOREIGN = {"msgpack", "pydantic", "pydantic_core", "tree_sitter", "tree_sitter_toml"}
"""All of these turn bytes into values, and nothing else."""

IMPURE_CALLS = {
    *("open", "print", "input", "exec", "eval", "__import__"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("signal.signal", "signal.alarm", "signal.raise_signal", "signal.set_wakeup_fd"),
}


def _is_direct(name: str, package: str) -> bool:
    parent, _, last = name.rpartition(".")
    return parent == package and last not in SHELLS[package] and name not in SHELLS


PURE = sorted({name for name in modules() for package in SHELLS if _is_direct(name, package)} | MORE_PURE)
PURE = [name for name in PURE if modules()[name].stem != "__init__"]


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_cannot_reach_the_world(name: str) -> None:
    """The simulation drives these modules by a seed; what it does not see would make a seed a lie."""
    assert stdlib([name]) <= STDLIB
    assert foreign([name]) <= FOREIGN
    calls = {ast.unparse(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)}
    assert not calls & IMPURE_CALLS


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_shell(name: str) -> None:
    """Or it could wait by way of another module."""
    reached = {found for found in closure([name], through_packages=False) if not _is_package(found)}
    assert reached - COMMON <= set(PURE)


def _is_package(name: str) -> bool:
    return modules()[name].stem == "__init__"


def test_what_says_that_it_is_pure_is_checked() -> None:
    """A docstring that begins with PURE is a promise."""
    claimed = {name for name in modules() if (ast.get_docstring(tree(name)) or "").startswith("PURE")}
    assert {name for name in claimed if not _is_package(name)} <= set(PURE)


def test_the_shells_that_are_named_exist() -> None:
    """A name that is left over would let the next module of that name in."""
    for package, names in SHELLS.items():
        assert {f"{package}.{name}" for name in names} <= modules().keys()

"""Every command that a document shows can be typed, and every command helps, fast."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from agents.launcher import tree
from fabric.controller.verdict import EXIT_CODES
from fabric.vault import PREFIX
from tests.architecture import documents
from tests.architecture.documents import Typed, contexts
from tests.architecture.source import ROOT

TYPED = list(documents.typed())
ROUNDS = 3
HELP_FACTOR = 2.0
"""`--help` may take so much of the time that `import click` takes: what a person waits for at every Tab."""

ENTRIES = {
    "fabric.cli.entry:fabric": "fabric.cli.main:main",
    "fabric.cli.entry:run": "fabric.cli.run:main",
    "fabric.cli.entry:tail": "fabric.cli.tail:main",
}
"""Where programs begin before their commands are imported."""

HELPED = [
    *documents.PROGRAMS,
    "fabric exec",
    "fabric nodes",
    "fabric nodes label",
    "fabric runs",
    "fabric import",
    "fabric keys",
    "fabric keys invite",
    "fabric join",
    "fabric doctor",
    "fabric-broker backup",
]


def test_the_programs_are_those_of_pyproject() -> None:
    """This list of them is what the other tests here go by."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {name: ENTRIES.get(path, path) for name, path in project["scripts"].items()} == documents.PROGRAMS
    assert set(ENTRIES) <= set(project["scripts"].values()), (
        "or Ctrl-C would show where it was in the imports"
    )


@pytest.mark.parametrize("shown", TYPED, ids=lambda shown: f"{shown.place} {shown.text}")
def test_a_documented_command_exists(shown: Typed) -> None:
    """A command or an option that is not there is worse than one that is not described."""
    context, _ = documents.find(shown.text)
    assert context is not None, f"{shown.place}: there is no {shown.text!r}"
    unknown = [flag for flag in documents.flags(shown.text) if flag not in documents.options(context)]
    assert not unknown, f"{shown.place}: {context.command_path} has no {', '.join(unknown)}"


@pytest.mark.parametrize("shown", [one for one in TYPED if one.is_exact], ids=lambda shown: shown.text)
def test_a_command_to_be_copied_is_taken_as_it_stands(shown: Typed) -> None:
    """Missing arguments and wrong values, too."""
    context, words = documents.find(shown.text)
    assert context is not None
    if not isinstance(context.command, click.Group):
        code = 0
        try:
            context.command.make_context(context.info_name, words, **context.command.context_settings)
        except click.exceptions.Exit as done:  # --check works while it is read
            code = done.exit_code
        assert code == 0


def test_documents_show_commands() -> None:
    """Or the tests above would pass because they look in the wrong place."""
    seen = {context.command_path for shown in TYPED if (context := documents.find(shown.text)[0])}
    assert seen >= {
        "fabric-run",
        "fabric-tail",
        "fabric-broker",
        "fabric-agent",
        "fabric exec",
        "fabric nodes show",
        "fabric nodes drain",
        "fabric runs show",
        "fabric runs rm",
        "fabric keys invite",
        "fabric join",
    }
    assert sum(shown.is_exact for shown in TYPED) >= 5


def test_every_option_is_described() -> None:
    """In docs/commands.md, where one looks."""
    text = (ROOT / "docs" / "commands.md").read_text()
    for name, context in contexts().items():
        for flag, option in documents.options(context).items():
            if not option.hidden and flag.startswith("--"):
                assert flag in text, f"{flag} of {name}"


INSTEAD = ("-h", "--help", "--version", "--check", "--check-config", "--doctor", "--explain")
"""What a command does instead of its work: in the environment it would keep everybody from working."""


def test_every_option_has_a_variable() -> None:
    """A lab's settings go into the environment once; `--help` says under which names."""
    for name, context in contexts().items():
        for flag, option in documents.options(context).items():
            if not option.hidden and flag not in INSTEAD:
                assert documents.variable(context, option).startswith("FABRIC_"), f"{flag} of {name}"


def test_documented_variables_exist() -> None:
    """They are copied into units and profiles, where nobody sees a misspelling."""
    known = {tree.STEP_MARK, tree.LAUNCHER_MARK} | {
        documents.variable(context, option)
        for context in contexts().values()
        for option in documents.options(context).values()
    }
    arguments = (one for context in contexts().values() for one in context.command.params)
    known |= {one.envvar for one in arguments if isinstance(one.envvar, str)}
    for file in documents.DOCUMENTS:
        named = set(re.findall(r"\bFABRIC_[A-Z_]+[A-Z]\b", (ROOT / file).read_text()))
        assert {one for one in named if not one.startswith(PREFIX)} <= known, file  # secrets have any name


def test_the_exit_codes_of_the_readme_are_those_of_the_code() -> None:
    """Scripts branch on them."""
    rows = dict(re.findall(r"^\| (\d+) \| ([a-z-]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    wanted = {str(code): verdict for verdict, code in EXIT_CODES.items()}
    assert rows == wanted | {"2": "-", "130": "-"}


@pytest.mark.parametrize("name", HELPED)
def test_a_command_helps(name: str) -> None:
    """With exit code 0, on stdout, in words and not in escapes."""
    done = subprocess.run([*_program(name), "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
    assert "\\b" not in done.stdout


def test_help_is_fast(tmp_path: Path) -> None:
    """Measured as processor time: another process on this machine must not decide.

    The commands take turns, so that a slow moment meets all of them, and the least counts; bytecode is there
    for all.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    floor = [sys.executable, "-c", "import click"]
    commands = {"import click": floor} | {name: [*_program(name), "--help"] for name in HELPED}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for words in commands.values():
        _processor_s(words, env)
    for _ in range(ROUNDS):
        for name, words in commands.items():
            times[name].append(_processor_s(words, env))
    limit_s = HELP_FACTOR * min(times.pop("import click"))
    slow = {name: min(found) for name, found in times.items() if min(found) > limit_s}
    assert not slow, f"over {limit_s:.3f} s"


def _program(name: str) -> list[str]:
    program, *rest = name.split()
    return [str(Path(sys.executable).parent / program), *rest]


def _processor_s(words: list[str], env: dict[str, str]) -> float:
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime

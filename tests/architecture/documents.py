"""What the documents say a person can type: commands, options, variables, scripts and files."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click

from tests.architecture.source import ROOT

GENERATED = {"docs/protocol.md", "configs/trial.schema.json"}
DOCUMENTS = [
    file.relative_to(ROOT)
    for file in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    if str(file.relative_to(ROOT)) not in GENERATED
]
EXAMPLES = [
    file.relative_to(ROOT)
    for file in sorted((ROOT / "configs").rglob("*"))
    if file.is_file() and str(file.relative_to(ROOT)) not in GENERATED
]

PROGRAMS = {
    "fabric": "fabric.cli.main:main",
    "fabric-run": "fabric.cli.run:main",
    "fabric-tail": "fabric.cli.tail:main",
    "fabric-broker": "broker.cli:main",
    "fabric-agent": "agents.cli:main",
}
_COMMAND = re.compile(r"(?:^|(?<=[\s`(]))fabric(?:-[a-z]+)?(?= |$)")
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+|-[a-z](?![\w-]))")
_END = re.compile(r"\s[|&;>]|\s#\s|`")


class Typed(NamedTuple):
    """A command as a document shows it."""

    place: str  # file:line
    text: str
    is_exact: bool  # in a block of shell, so it can be typed as it stands


@cache
def command(program: str) -> click.Command:
    """Return the click command of a program."""
    module, _, name = PROGRAMS[program].partition(":")
    found = getattr(import_module(module), name)
    assert isinstance(found, click.Command)
    return found


@cache
def contexts() -> dict[str, click.Context]:
    """Return a context of every command and subcommand, by what a person types."""
    found: dict[str, click.Context] = {}
    for program in PROGRAMS:
        main = command(program)
        context = found[program] = click.Context(main, info_name=program, **main.context_settings)
        _add_subcommands(found, program, context)
    return found


def _add_subcommands(found: dict[str, click.Context], path: str, context: click.Context) -> None:
    if not isinstance(context.command, click.Group):
        return
    for name in context.command.list_commands(context):
        sub = context.command.get_command(context, name)
        assert sub is not None
        inner = found[f"{path} {name}"] = click.Context(
            sub, info_name=name, parent=context, **sub.context_settings
        )
        _add_subcommands(found, f"{path} {name}", inner)


def options(context: click.Context) -> dict[str, click.Option]:
    """Return a command's options by each of their flags."""
    parameters = context.command.get_params(context)
    return {
        flag: parameter
        for parameter in parameters
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def variable(context: click.Context, option: click.Option) -> str:
    """Return the variable that sets an option, as the help shows it."""
    option.get_help_record(context)  # it is named there
    return option.envvar if isinstance(option.envvar, str) else ""


def typed() -> Iterator[Typed]:
    """Yield all commands of the documents and of the comments in examples."""
    for file in DOCUMENTS:
        for number, text, is_exact in _code(file):
            yield from _found(f"{file}:{number}", text, is_exact=is_exact)
    for file in EXAMPLES:
        for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
            if line.startswith("#  "):  # indented: to be typed; else it is prose
                yield from _found(f"{file}:{number}", line.lstrip("# "), is_exact=False)


def _code(file: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield what a page shows as code: its line, the text, whether it is to be typed in a shell."""
    fence = None
    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
        if line.startswith("```"):
            fence = line.removeprefix("```") if fence is None else None
        elif fence in ("sh", ""):
            yield number, line, fence == "sh"
        elif fence is None:
            for span in re.findall(r"`([^`]+)`", line):
                yield number, span, False


def _found(place: str, text: str, *, is_exact: bool) -> Iterator[Typed]:
    starts = [match.start() for match in _COMMAND.finditer(text)]
    for start, after in pairwise([*starts, len(text)]):
        one = text[start:after]
        end = _END.search(one)
        yield Typed(place, (one[: end.start()] if end else one).strip(), is_exact)


def find(text: str) -> tuple[click.Context | None, list[str]]:
    """Return the command of a line and the words after its name; None if there is none of that name."""
    words = shlex.split(text) if text.count("'") % 2 == 0 and text.count('"') % 2 == 0 else text.split()
    if words[0] == "fabric":
        plain = len(words) == 1 or words[1].startswith(("-", "["))
        if plain:
            return contexts()["fabric"], words[1:]
        names = " ".join(words[:2])
        sub = " ".join(words[:3])
        if len(words) > 2 and sub in contexts():
            return contexts()[sub], words[3:]
        shown = f"{names} show"  # what is no subcommand is for the one called show
        return contexts().get(shown if shown in contexts() else names), words[2:]
    if " ".join(words[:2]) in contexts():
        return contexts()[" ".join(words[:2])], words[2:]
    return contexts().get(words[0]), words[1:]


def flags(text: str) -> list[str]:
    """Return the options in a line, also those of a synopsis: ``[-f|--follow]``; none that follow ``--``."""
    return _OPTION.findall(text.partition(" -- ")[0].replace("[", " ").replace("|", " "))

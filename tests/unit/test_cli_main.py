"""The commands as a whole: all there, quick to say what they do, completed by the shells."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fabric.cli.instants import utc
from fabric.cli.main import COMMANDS, PROGRAMS, main

BIN = Path(sys.executable).parent
HEAVY = ("zmq", "msgpack", "structlog", "pydantic", "sqlalchemy", "rich", "alembic", "asyncio", "tomllib")

WAYS = [*((program,) for program in PROGRAMS), *(("fabric", command) for command in COMMANDS)]


def test_the_list_names_all_commands_without_loading_them() -> None:
    """Importing each of them for its line would take half a second."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom fabric.cli.main import main\n"
        "print(CliRunner().invoke(main, ['--help']).stdout)\n"
        "print('LOADED', *[name for name in sys.modules if name.split('.')[0] in ('broker', 'agents')"
        " or name.startswith('fabric.cli.')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    shown, _, loaded = out.partition("LOADED")
    assert all(f"  {command} " in shown for command in (*COMMANDS, "completion"))
    assert set(loaded.split()) == {f"fabric.cli.{name}" for name in ("main", "command", "options", "entry")}


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_the_help_of_a_command_loads_nothing_heavy(way: tuple[str, ...]) -> None:
    """`--help` has to be there at once; what it must not wait for are these imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", BIN / way[0], *way[1:], "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith("Usage:")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert loaded & set(HEAVY) == set()


def test_a_command_on_nodes_loads_nothing_that_reads_trials() -> None:
    """Whoever types `fabric exec` waits for each import."""
    code = (
        "import sys, fabric.cli.exec, fabric.cli.outlet, fabric.report.execview\n"
        "from fabric.cli.attach import attached\n"
        "from fabric.controller.execute import execute\n"
        "print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    unwanted = {*HEAVY, "tree_sitter", "statistics", "subprocess", "difflib", "jinja2"} - {"zmq", "msgpack"}
    assert set(out.split()) & unwanted == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_complete_all_programs(shell: str) -> None:
    """One line in ~/.bashrc is enough for all of them."""
    done = subprocess.run([BIN / "fabric", "completion", shell], capture_output=True, text=True, check=True)
    for program in PROGRAMS:
        assert f"_{program.replace('-', '_').upper()}_COMPLETE" in done.stdout


def test_the_completion_offers_commands_and_options() -> None:
    """What the script calls back for."""
    done = subprocess.run(
        [BIN / "fabric-tail"],
        env={
            "_FABRIC_TAIL_COMPLETE": "bash_complete",
            "COMP_WORDS": "fabric-tail --follow-",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,--follow-runs"]


def test_every_command_says_its_version() -> None:
    """The first question in every report of a fault."""
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.stdout) == (0, "fabric 0.1.0\n")
    result = CliRunner().invoke(main, ["tail", "--version"])
    assert (result.exit_code, result.stdout) == (0, "fabric 0.1.0\n")


def test_a_command_that_is_not_there_is_a_usage_error() -> None:
    """Exit code 2, as for every wrong command line."""
    assert CliRunner().invoke(main, ["nosuch"]).exit_code == 2


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("run --wait wait.toml", "hint: write --wait=1h, or put --wait behind TRIAL"),
        ("exec --wait lab1 -- uname", "hint: write --wait=1h, or put --wait behind SPEC"),
        ("exec lab1 uname -a", "hint: `--` stands before the command"),
    ],
)
def test_a_word_that_an_option_took_is_told_with_a_way_out(line: str, hint: str) -> None:
    """Who writes these has read the synopsis: only the order, or `--`, is missing."""
    result = CliRunner().invoke(main, line.split())
    assert (result.exit_code, hint in result.stderr) == (2, True), result.stderr


def test_people_read_instants_in_one_form() -> None:
    """The broker's sentences and the tables of the commands stand side by side."""
    assert utc(1_772_360_527_999_999_999) == "2026-03-01 10:22:07 UTC"


INTERRUPTED_AT = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from fabric.cli import entry

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = [{program!r}, *{words!r}]
entry.{program}()
"""


@pytest.mark.parametrize(
    ("program", "module", "words"),
    [
        ("tail", "click", []),
        ("tail", "fabric.cli.tailing", []),
        ("fabric", "fabric.cli.runs", ["runs"]),
        ("run", "pydantic", ["--check", "configs/trials/hello.toml"]),
    ],
)
def test_an_interrupt_is_quiet_from_the_start(program: str, module: str, words: list[str]) -> None:
    """Who has mistyped a command leaves it at once, in the middle of its imports."""
    code = INTERRUPTED_AT.format(program=program, module=module, words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")

"""Options of services and the file behind them."""

import json
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner

from fabric.cli import service
from fabric.cli.options import option, settings
from fabric.log import get_logger
from fabric.settings import Sections, checks
from fabric.settings.services import COMMON

SECTIONS: Sections = {
    "thing": {"words": checks.items(checks.text), "state_dir": checks.path, **COMMON},
    "rules": {"strict": checks.flag},
}


@click.command("thing", context_settings=settings("thing"))
@option("--word", "words", multiple=True)
@option("--state-dir", type=click.Path(path_type=Path))
@service.ephemeral_option
@service.config_options("thing", lambda: SECTIONS)
@service.log_options
@click.pass_context
def thing(ctx: click.Context, **values: object) -> None:
    """Print what came."""
    click.echo(json.dumps(values | {"rules": service.section_of(ctx, "rules")}, default=str))


@pytest.fixture(autouse=True)
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the machine's own settings in a directory of the test."""
    monkeypatch.setattr(service, "SETTINGS_DIR", tmp_path)
    return tmp_path / "thing.toml"


def came(*words: str, env: dict[str, str] | None = None) -> dict[str, object]:
    done = CliRunner().invoke(thing, words, env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


def test_without_a_file_there_are_the_defaults() -> None:
    """No machine needs one."""
    assert came() == {
        "words": [],
        "state_dir": None,
        "ephemeral": False,
        "config": None,
        "check_config": False,
        "log": "console",
        "log_file": None,
        "log_bytes": 10 << 20,
        "log_files": 5,
        "verbose": False,
        "quiet": False,
        "rules": {},
    }


def test_the_usual_file_is_found_and_another_one_can_be_named(usual: Path, tmp_path: Path) -> None:
    """A unit names none; who tries something out does."""
    usual.write_text('[thing]\nwords = ["a", "b"]\nlog_bytes = "1 MiB"\n[rules]\nstrict = true')
    found = came()
    assert (found["words"], found["log_bytes"], found["rules"]) == (["a", "b"], 1 << 20, {"strict": True})
    assert found["config"] == str(usual)
    other = tmp_path / "other.toml"
    other.write_text('thing.state_dir = "x"')
    found = came("--config", str(other))
    assert (found["words"], found["state_dir"]) == ([], str(tmp_path / "x"))


def test_the_command_line_wins_over_variables_and_these_over_the_file(usual: Path) -> None:
    """From what is nearest to the person to what is furthest away."""
    usual.write_text('[thing]\nwords = ["file"]\nlog = "json"\nlog_files = 1\nverbose = true')
    env = {"FABRIC_THING_LOG_FILES": "2", "FABRIC_THING_LOG_BYTES": "70000"}
    found = came("--word", "line", "--log-bytes", "80 kB", env=env)
    assert (found["words"], found["log"], found["log_files"], found["log_bytes"], found["verbose"]) == (
        ["line"],
        "json",
        2,
        80_000,
        True,
    )


def test_a_private_lab_knows_no_settings_of_the_machine(usual: Path) -> None:
    """`fabric-run --local` would else log into the files of the lab."""
    usual.write_text("[thing]\nnonsense = 1")
    assert came("--ephemeral")["config"] is None


def test_a_file_with_a_mistake_ends_the_command(usual: Path) -> None:
    """With the code for wrong files, before anything is done."""
    usual.write_text("[thing]\nwordss = []\n")
    done = CliRunner().invoke(thing)
    assert done.exit_code == 2
    assert f"{usual}:2:1: error: unknown key `wordss` under [thing]" in done.output
    assert "did you mean `words`?" in done.output


@pytest.mark.parametrize("size", ["1 KB", "much", "5"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    """Also on the command line."""
    done = CliRunner().invoke(thing, ["--log-bytes", size])
    assert done.exit_code == 2
    assert "--log-bytes" in done.output


@pytest.fixture
def _as_before() -> None:
    structlog.reset_defaults()


@pytest.mark.usefixtures("_as_before")
def test_a_log_file_gets_what_can_be_read_line_by_line(tmp_path: Path) -> None:
    """A peer's text must not make a line of its own: who reads the log would believe it."""
    file = tmp_path / "thing.log"
    for form in ("console", "json"):
        service.set_up_logs(
            log=form,  # type: ignore[arg-type]
            log_file=file,
            log_bytes=1 << 20,
            log_files=1,
            verbose=False,
            quiet=False,
        )
        get_logger().warning("node_refused", why="a\n2026 [info] key_saved\x1b[31m\x85\u2028\udcff", pid=7)
    console, as_json, *rest = file.read_text().splitlines()
    assert rest == []
    assert console.isprintable()
    assert "key_saved" in console
    assert json.loads(as_json)["why"] == "a\n2026 [info] key_saved\x1b[31m\x85\u2028\udcff"

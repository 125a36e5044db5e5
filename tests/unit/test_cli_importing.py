"""`fabric import`: the trial on stdout, everything else on stderr."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fabric.cli.importing import main
from fabric.trial.load import parse_trial

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "configs" / "conductor" / "conductor.cfg")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_the_trial_goes_to_stdout_alone() -> None:
    """It is redirected into a file; a warning in between would break it."""
    done = run(EXAMPLE, "--nodes", "192.0.2.10=lab1")
    assert done.exit_code == 0
    trial = parse_trial(done.stdout, "x.toml")
    assert dict(trial.roles) == {"server": ("lab1",), "client": ("192.0.2.11",)}
    assert "server.cfg:11:1: warning[W110]" in done.stderr
    assert "192.0.2.11 -> node 192.0.2.11 (role client; another one: --nodes client=NAME)" in done.stderr


def test_quiet_means_nothing_but_the_trial() -> None:
    """For scripts that import many files."""
    done = run(EXAMPLE, "-q", "--worker", "CLIENT")
    assert (done.exit_code, done.stderr) == (0, "")
    assert list(parse_trial(done.stdout, "x.toml").roles) == ["client"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.cfg"], "none.cfg: error[E101]: there is no file none.cfg"),
        (["trial.toml"], "error: trial.toml is a trial already\nhint: fabric-run trial.toml"),
        ([EXAMPLE, "--nodes", "x"], "error: --nodes 'x': expected ROLE=SPEC"),
        ([EXAMPLE, "--nodes", "x=y"], "error: --nodes x: no worker has this name or address"),
        ([EXAMPLE, "--nodes", "server=!"], "conductor.cfg:10:1: error[E0"),
        ([EXAMPLE, "--worker", "x"], "has no worker `x`"),
    ],
)
def test_what_cannot_be_done_ends_with_two(words: list[str], said: str) -> None:
    """And stdout stays empty, so that nobody takes a half trial."""
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr

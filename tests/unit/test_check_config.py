"""``--check-config`` of the services refuses what their start refuses, and starts nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import agents.cli
import broker.cli
from fabric.cli import service


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a directory of the test, without the machine's own settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(service, "SETTINGS_DIR", tmp_path / "etc")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def check(program: str, *words: str) -> Result:
    main = agents.cli.main if program == "agent" else broker.cli.main
    return CliRunner().invoke(main, [*words, "--check-config"])


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        ("broker", ["--listen", "127.0.0.1"], "'127.0.0.1' is not an address like tcp://host:7400"),
        ("broker", ["--keep", "much"], "much"),
        ("agent", [], "where the broker is has to be said"),
        ("agent", ["notaurl"], "'notaurl' is not an address like"),
        ("agent", ["tcp://lab", "--name", "a b"], "'a b' cannot be a node's name"),
        ("agent", ["tcp://lab", "--label", "a b"], "'a b' cannot be a label"),
        ("agent", ["tcp://lab", "--addr", "foo"], "--addr 'foo': expected NAME=ADDRESS"),
        ("agent", ["tcp://lab", "--join", "foo"], "token"),
        ("agent", ["tcp://lab", "--allow-path", "opt"], "'opt' is no absolute path"),
        ("agent", ["tcp://lab", "--policy", "none.toml"], "none.toml cannot be read"),
        ("agent", ["tcp://lab", "--policy", "policy.toml"], "policy.toml:2:15: error: `allow_path` is wrong"),
    ],
)
def test_it_says_what_a_start_would_say(program: str, words: list[str], said: str) -> None:
    """Who is told that all is well starts the service, and finds out at night."""
    Path("policy.toml").write_text('[policy]\nallow_path = ["opt/tests"]\n')
    Path("policy.toml").chmod(0o644)
    done = check(program, *words)
    assert done.exit_code == 2, done.output
    assert said in done.stderr


def test_what_is_right_is_said_file_by_file_and_nothing_is_made(tmp_path: Path) -> None:
    """So that it is seen which files were read."""
    Path("a.toml").write_text('[agent]\nbroker = "tcp://lab"\nname = "lab1"\n')
    Path("p.toml").write_text('[policy]\nallow_path = ["/opt/tests"]\n')
    Path("p.toml").chmod(0o644)
    done = check("agent", "--config", "a.toml", "--policy", "p.toml", "--log-file", "x.log")
    assert (done.exit_code, done.stdout) == (0, "a.toml: ok\np.toml: ok\n")
    done = check("broker", "--listen", "tcp://127.0.0.1:0")
    assert (done.exit_code, done.stdout) == (0, "no settings file; the options are ok\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.toml", "p.toml"]

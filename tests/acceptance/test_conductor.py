"""A test of Conductor, run as it is: what its user has to do, and what he gets."""

import json
from pathlib import Path

from tests.acceptance.conftest import ROOT, Command

WORKER = "[Coordinator]\nplayer = 127.0.0.1 # here\ncmdport = 6970\nresultsport = 6971\n"


def test_a_test_of_conductor_runs_as_it_is(command: Command, tmp_path: Path) -> None:
    """Two workers with one address, a failing step that stops nothing, messages that name his own lines."""
    work = tmp_path / "work"
    (work / "a.cfg").write_text(
        f"{WORKER}[Startup]\nspawn1 = sleep 60\n[Run]\nstep1 = echo no; exit 3\ntimeout9 = echo go on\n"
        "[Collect]\nstep1 = echo collected\n[Reset]\nstep1 = true\n"
    )
    (work / "b.cfg").write_text(f"{WORKER}[Run]\nstep1 = spawn:echo done at once\n")
    (work / "conductor.cfg").write_text("[Test]\ntrials = 1\n[Workers]\na = a.cfg\nb = b.cfg\n")
    done = command("fabric-run", "--local", "conductor.cfg")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a.cfg:2:1: warning[W106]" in done.stderr
    bundle = (work / "runs" / "latest").resolve()
    result = json.loads((bundle / "result.json").read_text())
    assert len(result["why"]) == 1
    assert result["why"][0].startswith("a.cfg:8: run/a step a-1 on a: exit 3")
    (failed,) = [step for step in result["steps"] if step["failed"]]
    assert (failed["origin"], failed["last"]) == ("a.cfg:8", ["no"])
    outputs = {
        str(path.relative_to(bundle / "out" / "1")): path.read_text()
        for path in bundle.glob("out/1/*/*/*.stdout")
    }
    assert outputs == {
        "startup/a/a-1.stdout": "",
        "run/a/a-1.stdout": "no\n",
        "run/a/a-2.stdout": "go on\n",
        "run/b/b-1.stdout": "done at once\n",
        "collect/a/a-1.stdout": "collected\n",
        "reset/a/a-1.stdout": "",
    }
    assert (bundle / "imported" / "a.cfg").read_bytes() == (work / "a.cfg").read_bytes()
    assert "imported/conductor.cfg" in (bundle / "MANIFEST.sha256").read_text()
    assert (bundle / "trial.toml").read_text().startswith("# Imported from Conductor's conductor.cfg")


def test_what_import_prints_is_a_trial_that_runs(command: Command, tmp_path: Path) -> None:
    """The way to move: import, redirect, go on with the trial."""
    made = command("fabric", "import", str(ROOT / "configs" / "conductor" / "conductor.cfg"))
    assert made.returncode == 0, made.stderr
    (tmp_path / "work" / "moved.toml").write_text(made.stdout)
    done = command("fabric-run", "--local", "moved.toml", "--repeat", "1", "--format", "conductor-json")
    assert done.returncode == 0, done.stdout + done.stderr
    trial = json.loads(done.stdout)["trials"][0]
    assert list(trial["phases"]) == ["startup", "run", "collect", "reset"]
    server = trial["phases"]["run"]["workers"]["server"]["results"]
    assert [(one["code"], one["message"].strip()) for one in server] == [(0, ""), (0, "3")]
    assert "bundle: " in done.stderr

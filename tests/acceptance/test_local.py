"""`fabric-run --local` as a newcomer meets it: one command, a bundle, an honest exit code, no trace."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT, Command

TRIALS = sorted((ROOT / "configs" / "trials").glob("*.toml"))
OPTIONS = {"matrix": ("--repeat", "1")}  # six cells of three phases are enough


def bundle_of(tmp_path: Path) -> Path:
    return (tmp_path / "work" / "runs" / "latest").resolve()


def processes_with(home: dict[str, str]) -> list[str]:
    """Return the command lines of processes that were started with this home."""
    mark = f"TMPDIR={home['TMPDIR']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has gone meanwhile, or is not ours
    return found


@pytest.mark.parametrize("trial", TRIALS, ids=lambda path: path.stem)
def test_the_examples_pass_and_leave_nothing_but_the_bundle(
    trial: Path, command: Command, home: dict[str, str], tmp_path: Path
) -> None:
    """Whoever begins copies an example; it has to work as it stands."""
    home["FABRIC_SECRET_API_TOKEN"] = "not-for-a-bundle"  # one of them asks for it
    done = command("fabric-run", "--local", str(trial), *OPTIONS.get(trial.stem, ()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("pass  ")
    bundle = bundle_of(tmp_path)
    for name in ("result.json", "trial.toml", "plan.json", "events.jsonl", "junit.xml", "MANIFEST.sha256"):
        assert (bundle / name).is_file()
    assert (bundle / "trial.toml").read_bytes() == trial.read_bytes()
    subprocess.run(["sha256sum", "--quiet", "-c", "MANIFEST.sha256"], cwd=bundle, check=True)
    assert not [path for path in bundle.rglob("*") if path.is_file() and b"not-for-a" in path.read_bytes()]
    assert list(Path(home["TMPDIR"]).iterdir()) == []
    assert not Path(home["XDG_STATE_HOME"]).exists()
    assert not Path(home["XDG_CONFIG_HOME"]).exists()
    assert processes_with(home) == []


def test_the_result_and_the_events_agree_with_the_exit_code(command: Command, tmp_path: Path) -> None:
    """Three places say what came of it; a script may read any."""
    trial = tmp_path / "fails.toml"
    trial.write_text(
        '[trial]\nname = "fails"\n[nodes]\na = ["n1", "n2"]\n[run]\n'
        "a = 'echo out; echo err >&2; exit $((3 * (1 - my_index)))'\n"
    )
    done = command("fabric-run", "--local", "--ui", "jsonl", str(trial))
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    result = json.loads((bundle_of(tmp_path) / "result.json").read_text())
    assert lines[-1] == {"type": "result", **result, "bundle": f"runs/{result['run']}"}
    assert (result["verdict"], result["exit_code"]) == ("fail", 1)
    assert len(result["why"]) == 1
    assert result["why"][0].startswith(f"{trial}:6: run/a step a-1 on n1: exit 3 after")
    assert result["why"][0].endswith("last line: err")
    events = [json.loads(line) for line in (bundle_of(tmp_path) / "events.jsonl").read_text().splitlines()]
    assert sorted(events, key=lambda event: event["number"]) == lines[:-1]
    assert events[-1]["type"] == "run_ended"
    for node in ("n1", "n2"):
        out = bundle_of(tmp_path) / "out" / "1" / "run" / node
        assert (out / "a-1.stdout").read_bytes() == b"out\n"
        assert (out / "a-1.stderr").read_bytes() == b"err\n"


def test_the_skew_of_every_phase_that_starts_something_is_stored_with_its_bound(
    command: Command, tmp_path: Path
) -> None:
    """A start without a proven skew would be a claim."""
    trial = tmp_path / "skew.toml"
    trial.write_text('[trial]\nname = "skew"\nrepeat = 2\n[nodes]\na = "n[1-3]"\n[run]\na = "true"\n')
    done = command("fabric-run", "--local", str(trial))
    assert done.returncode == 0, done.stdout + done.stderr
    phases = json.loads((bundle_of(tmp_path) / "result.json").read_text())["phases"]
    runs = [phase for phase in phases if phase["phase"] == "run"]
    assert len(runs) == 2
    for phase in runs:
        assert 0 <= phase["skew_s"] < 5
        assert 0 < phase["skew_bound_s"] < 1
    assert "skew" in done.stdout


def test_skew_over_the_limit_is_invalid(command: Command, tmp_path: Path) -> None:
    """Exit code 4: it ran, but the numbers cannot be trusted."""
    trial = tmp_path / "skew.toml"
    trial.write_text('[trial]\nname = "skew"\nmax_skew = "1us"\n[nodes]\na = "n[1-3]"\n[run]\na = "true"\n')
    done = command("fabric-run", "--local", str(trial))
    assert done.returncode == 4
    assert re.search(r"(is over|is not proven to be within) max_skew 0.001 ms", done.stdout), done.stdout


def test_a_wrong_trial_starts_nothing(command: Command, home: dict[str, str], tmp_path: Path) -> None:
    """Exit code 2, every mistake at its place, no bundle."""
    trial = tmp_path / "wrong.toml"
    trial.write_text('[trial]\nname = "x"\n[nodes]\na = "n1"\n[run]\nb = { cmd = "true", timeout = 3 }\n')
    done = command("fabric-run", "--local", str(trial))
    assert done.returncode == 2
    assert f"{trial}:6:1: error[" in done.stderr
    assert f"{trial}:6:31: error[E030]" in done.stderr
    assert not (tmp_path / "work" / "runs").exists()
    assert list(Path(home["TMPDIR"]).iterdir()) == []


def test_without_a_broker_the_error_is_one_line_and_a_hint(command: Command) -> None:
    """Exit code 3; nobody should have to read a traceback."""
    done = command("fabric-run", str(TRIALS[0]))
    assert done.returncode == 3
    error, hint = done.stderr.strip().splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")


def test_an_unknown_program_is_refused_before_anything_starts(command: Command, tmp_path: Path) -> None:
    """All or none, from the first moment on."""
    trial = tmp_path / "unknown.toml"
    trial.write_text(
        '[trial]\nname = "u"\n[nodes]\na = "n1"\nb = "n2"\n[run]\n'
        f'a = "touch {tmp_path}/started"\nb = {{ cmd = ["no-such-program"] }}\n'
    )
    done = command("fabric-run", "--local", str(trial))
    assert done.returncode == 1
    assert "no-such-program" in done.stdout.splitlines()[-2]
    assert not (tmp_path / "started").exists()


def test_phases_nodes_and_repeat_can_be_chosen_on_the_command_line(command: Command, tmp_path: Path) -> None:
    """`--phases`, `--nodes`, `--repeat`; the reset is always done."""
    trial = tmp_path / "t.toml"
    trial.write_text(
        '[trial]\nname = "t"\n[nodes]\na = "n1"\n'
        '[startup]\na = "echo s"\n[run]\na = "echo r"\n[reset]\na = "echo c"\n'
    )
    words = ("--phases", "run", "--nodes", "a=x[1-2]", "--repeat", "2")
    done = command("fabric-run", "--local", *words, str(trial))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((bundle_of(tmp_path) / "result.json").read_text())
    ran = [(phase["repeat"], phase["phase"]) for phase in result["phases"]]
    assert ran == [(1, "run"), (1, "reset"), (2, "run"), (2, "reset")]
    assert {step["node"] for step in result["steps"]} == {"x1", "x2"}


def test_a_place_where_no_bundle_can_be_is_told_before_anything_starts(
    command: Command, home: dict[str, str]
) -> None:
    """An hour of measuring must not end with nowhere to put it."""
    done = command("fabric-run", "--local", "-o", "/proc/nowhere", str(TRIALS[0]))
    assert done.returncode == 2
    assert "/proc/nowhere" in done.stderr
    assert list(Path(home["TMPDIR"]).iterdir()) == []

"""Files to the nodes and back, as a user sees it: one run, what it says, and what lies in the bundle."""

import json
import os
import subprocess
from pathlib import Path

from tests.acceptance.conftest import Command

TRIAL = """\
[trial]
name = "files"

[nodes]
db = ["lab1", "lab2"]

[[startup.db]]
put = ["etc", "*.sh"]

[[startup.db]]
put = { "tool.sh" = "bin/$my_name.sh" }

[[run.db]]
cmd = "./tool.sh > logs-of-$my_name && test -x bin/$my_name.sh && sha256sum etc/deep/big"

[[collect.db]]
fetch = ["logs-of*", "etc", "/proc/version"]

[[collect.db]]
fetch   = "nothing-*"
on_fail = "continue"  # or it would cut the other node's fetch, wherever that is
"""


def test_files_go_to_the_nodes_and_come_back(command: Command, tmp_path: Path) -> None:
    """Put before the run, fetched after it: byte for byte, and what was not there is named."""
    work = tmp_path / "work"
    (work / "etc/deep").mkdir(parents=True)
    big = os.urandom(3_000_001)
    (work / "etc/deep/big").write_bytes(big)
    (work / "etc/x.conf").write_text("x")
    (work / "tool.sh").write_text("#!/bin/sh\necho worked\n")
    (work / "tool.sh").chmod(0o755)
    (work / "trial.toml").write_text(TRIAL)

    done = command("fabric-run", "--local", "trial.toml", "-o", str(tmp_path / "runs"))

    assert done.returncode == 1, done.stdout + done.stderr
    assert "trial.toml:19: collect/db step db-2" in done.stdout + done.stderr
    assert "nothing-*: nothing matches" in done.stdout + done.stderr
    bundle = tmp_path / "runs/latest"
    for node in ("lab1", "lab2"):
        brought = bundle / "files/1" / node
        found = {str(path.relative_to(brought)) for path in brought.rglob("*") if path.is_file()}
        assert found == {f"logs-of-{node}", "etc/x.conf", "etc/deep/big", "proc/version"}
        assert (brought / "etc/deep/big").read_bytes() == big
        assert (brought / f"logs-of-{node}").read_text() == "worked\n"
    missing = sorted((bundle / "missing.txt").read_text().splitlines())
    assert [line.split("\t")[::3] for line in missing] == [
        ["lab1", "nothing matches"],
        ["lab2", "nothing matches"],
    ]
    events = [json.loads(line) for line in (bundle / "events.jsonl").read_text().splitlines()]
    assert sum(event["type"] == "file_ended" for event in events) == 8
    check = subprocess.run(["sha256sum", "-c", "--quiet", "MANIFEST.sha256"], cwd=bundle, check=False)
    assert check.returncode == 0


def test_a_put_of_nothing_starts_nothing(command: Command, tmp_path: Path) -> None:
    """A name that is wrong is found before anything runs anywhere."""
    (tmp_path / "work/trial.toml").write_text(TRIAL)
    done = command("fabric-run", "--local", "trial.toml", "-o", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert "trial.toml:8" in done.stderr
    assert not (tmp_path / "runs").exists()

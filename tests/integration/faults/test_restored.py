"""A broker's store is lost, and a backup of before takes its place: agents have deleted what is not in it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

TRIAL: Final = """
[trial]
name = "{name}"
lead = "150ms"
[nodes]
node = "{name}"
[[run.node]]
name = "numbers"
cmd  = "i=0; while [ ! -e {files}/enough ]; do i=$((i+1)); echo $i; sleep 0.01; done"
[[reset.node]]
cmd = "echo done >> {files}/reset-{name}"
"""


def broker(lab: Lab, *words: object) -> None:
    done = subprocess.run(
        [*map(str, (sys.executable, "-m", "broker", *words, "--state-dir", lab.directory / "broker"))],
        env=lab.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_lab_goes_on_with_the_broker_of_a_backup(lab: Lab) -> None:
    """What was stored is as it was; what came since is told to be missing; no node waits or stays unreset."""
    lab.start_agents("early", "late", "quiet")
    (lab.directory / "enough").touch()
    before = lab.run(TRIAL.format(name="early", files=lab.directory))
    assert before.wait() == 0, before.said()
    (lab.directory / "enough").unlink()
    early = lab.run(TRIAL.format(name="early", files=lab.directory))
    early.wait_said("│ 20\n")
    quiet = lab.run(TRIAL.format(name="quiet", files=lab.directory).replace("echo $i", ":"))
    quiet.wait_said("go 1")
    broker(lab, "backup", lab.directory / "copy")
    late = lab.run(TRIAL.format(name="late", files=lab.directory))
    late.wait_said("│ 20\n")
    early.wait_said("│ 200\n")
    late_agent = lab.agents["late"]
    (unknown,) = [path.name for path in (late_agent.state / "journals").iterdir()]

    lab.kill_broker()
    (lab.directory / "broker").rename(lab.directory / "lost")
    broker(lab, "restore", lab.directory / "copy")
    lab.start_broker()

    assert (early.wait(), late.wait(), quiet.wait()) == (3, 3, 3), early.said() + late.said() + quiet.said()
    lab.wait_free("early", "late", "quiet")
    for name, count in (("early", 2), ("late", 1), ("quiet", 1)):
        assert (lab.directory / f"reset-{name}").read_text() == "done\n" * count
    until(lambda: not [*late_agent.state.glob("journals/*/*")], "the end of its journal")
    assert [path.name for path in (late_agent.state / "undelivered").iterdir()] == [unknown]
    told = lab.command("tail", early.run, "--node", "early").stdout
    assert "of early are missing: they were stored" in told
    assert "this node ends its part of the run" in told

    copy = lab.directory / "again"
    done = lab.command("runs", "bundle", before.run, "-o", str(copy))
    assert done.returncode == 0, done.stderr
    for name in ("result.json", "events.jsonl", "out/1/run/early/numbers.stdout"):
        assert (copy / before.run / name).read_bytes() == (before.bundle / name).read_bytes(), name
    (lab.directory / "enough").touch()
    after = lab.run(TRIAL.format(name="late", files=lab.directory))
    assert after.wait() == 0, after.said()
    assert Path(lab.directory / "reset-late").read_text() == "done\n" * 2

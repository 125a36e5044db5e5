"""A sweep whose controller is killed: its bundle can be had, and it is continued."""

import json
import signal

from tests.integration.faults.lab import Agent, Lab
from tests.integration.faults.processes import until

SWEEP = """
[trial]
name = "sweep"
repeat = 2
[matrix]
v = [1, 2]
[nodes]
a = "1 of @x"
b = "n3"
[run]
a = { cmd = "echo value=$v; seq 1 20000; WAIT", metric.m = { regex = 'value=(\\d)' } }
[check.m]
max = 2
"""


def test_a_sweep_whose_controller_was_killed_is_continued(lab: Lab) -> None:
    """Hours of measurement must not be lost with a laptop's lid: what is done is kept, the rest follows."""
    for name in ("n1", "n2", "n3"):
        lab.agents[name] = Agent(lab, name)
        lab.agents[name].options = ("--label", "x")
    lab.start_agents("n1", "n2", "n3")
    go = lab.directory / "go"
    trial = SWEEP.replace("WAIT", f"test $v$repeat -lt 22 -o -e {go} || exec sleep 300")
    first = lab.run(trial, "--lease", "4")
    first.wait_said("phase 2.2/run: go")

    led = lab.run(trial, "--resume", "latest", name="led")
    until(lambda: led.process.poll() is not None or first.process.poll() is not None, led.end_of_said)
    assert first.process.poll() is None, first.end_of_said()
    assert led.wait() == 2, led.end_of_said()
    assert "goes on: its controller was heard of just now" in led.said()

    first.signal(signal.SIGKILL)
    first.wait()
    go.touch()
    second = lab.run(trial, "--resume", "latest", name="second")
    assert second.wait() == 0, second.said()
    assert "has the results of 3 of its 4 repeats" in second.said()
    assert "phase 1.1/run: go" not in second.said()

    directory = second.output / "latest"
    result = json.loads((directory / "result.json").read_text())
    (old,) = result["resumes"]
    runs = {(cell["cell"], one["repeat"]): one["run"] for cell in result["cells"] for one in cell["repeats"]}
    assert runs == {(1, 1): old, (2, 1): old, (1, 2): old, (2, 2): None}
    assert [cell["n"] for cell in result["metrics"][0]["cells"]] == [2, 2]
    assert len(result["checks"]) == 4
    assert all(check["ok"] for check in result["checks"])
    node = result["cells"][0]["roles"]["a"][0]
    for repeat in ("1.1", "2.1", "1.2", "2.2"):
        lines = (directory / "out" / repeat / "run" / node / "a-1.stdout").read_text().splitlines()
        assert lines == [f"value={repeat[0]}", *map(str, range(1, 20001))]

    made = lab.command("runs", "bundle", old, "-o", str(lab.directory / "bundles" / "again"))
    assert made.returncode == 0, made.stderr
    result = json.loads((lab.directory / "bundles" / "again" / old / "result.json").read_text())
    assert (result["verdict"], result["exit_code"]) == ("error", 3)
    assert any("the controller was lost" in why for why in result["why"])
    assert [len(cell["repeats"]) for cell in result["cells"]] == [2, 2]
    assert (lab.directory / "bundles" / "again" / old / "MANIFEST.sha256").exists()
    assert lab.run(trial, "--resume", "latest", name="third").wait() == 2
    assert "nothing is left to do" in lab.log("third")
    until(lambda: lab.nodes()["n1"]["state"] == "free", "n1 is free")

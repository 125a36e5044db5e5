"""`fabric-agent --arming` and `--no-spin` from the command line to the records of a run."""

import json
import os
from pathlib import Path

from tests.integration.faults.lab import Agent, Lab

TRIAL = """
[trial]
name = "arming"
repeat = 2
[nodes]
all = "link,exec,gate"
[run]
all = ["/bin/true"]
"""

HELD = {
    "link": ("exec_stop", os.uname().machine == "x86_64", "release", None),
    "exec": ("exec_stop", False, "release", None),
    "gate": ("gate", False, "exec", "the agent was told not to trace"),
}
"""By node: way, whether it is linked, what its start is, and why not more."""


def test_agents_hold_their_steps_as_they_were_told(tmp_path: Path) -> None:
    """Who finds that a program behaves oddly takes the shorter way, and sees that it was taken."""
    lab = Lab(tmp_path)
    try:
        lab.start_broker()
        for name in HELD:
            lab.agents[name] = Agent(lab, name)
            lab.agents[name].options = ("--arming", name, "--no-spin")
        lab.start_agents(*HELD)
        run = lab.run(TRIAL)
        assert run.wait() == 0, run.end_of_said()
        lines = (run.bundle / "events.jsonl").read_text().splitlines()
        starts = [event for event in map(json.loads, lines) if event["type"] == "step_started"]
        assert len(starts) == 2 * len(HELD)
        for start in starts:
            held = (start["way"], bool(start["linked"]), start["event"], start.get("way_why") or None)
            assert held == HELD[start["node"]]
            assert start["woke"] is None or start["planned"] <= start["woke"] <= start["t"]
        assert run.result["phases"][0]["way"] == "mixed"
    finally:
        lab.close()

"""Things of which there can be one only: who comes second is told by whom, and nothing breaks."""

import getpass
import re
import shutil
import subprocess
import sys
import time
from typing import Final

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

TRIAL: Final = """
[trial]
name = "{name}"
lead = "150ms"
[nodes]
one = "{nodes}"
[run]
one = "{command}"
"""


def refused(lab: Lab, *words: object) -> tuple[int, str]:
    """Run a command that has to end by itself; return its exit code and what it said."""
    done = subprocess.run(
        [*map(str, words)], env=lab.environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stderr


def test_a_node_serves_one_run_at_a_time(lab: Lab) -> None:
    """The second is told by which run, of whom, and since when; a node that is missing is named."""
    lab.start_agents("n1", "n2")
    files = lab.directory
    wait = f"touch {files}/reached; while [ ! -e {files}/go-on ]; do sleep 0.05; done"
    first = lab.run(TRIAL.format(name="first", nodes="n[1-2]", command=wait))
    until((files / "reached").exists, first.said)
    second = lab.run(TRIAL.format(name="second", nodes="n2", command="true"))
    unknown = lab.run(TRIAL.format(name="third", nodes="n[2-3]", command="true"))
    begun_s = time.monotonic()

    assert second.wait() == 3
    wanted = rf"n2 is in use by run {first.run} of {getpass.getuser()} since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC"
    assert re.search(wanted, second.said()), second.said()
    assert not second.output.exists()
    assert unknown.wait() == 3
    assert "n3 is unknown to the broker" in unknown.said()

    (files / "go-on").touch()
    assert first.wait() == 0, first.said()
    lab.agents["n2"].end()
    away = lab.run(TRIAL.format(name="fourth", nodes="n[1-2]", command="true"))
    assert away.wait() == 3
    assert re.search(r"n2 is away, last heard \d{4}-\d\d-\d\d \d\d:\d\d UTC", away.said()), away.said()
    assert time.monotonic() - begun_s < 30


def test_who_wants_to_wait_gets_the_node_when_it_is_free(lab: Lab) -> None:
    """A queue of people who look at each other's terminals is what that replaces."""
    lab.start_agents("n1")
    files = lab.directory
    wait = f"touch {files}/reached; while [ ! -e {files}/go-on ]; do sleep 0.05; done"
    first = lab.run(TRIAL.format(name="first", nodes="n1", command=wait))
    until((files / "reached").exists, first.said)
    impatient = lab.run(TRIAL.format(name="impatient", nodes="n1", command="true"), "--wait", "50ms")
    assert impatient.wait() == 3
    patient = lab.run(TRIAL.format(name="patient", nodes="n1", command="true"), "--wait")
    until(lambda: f"waiting: role one: n1 is in use by run {first.run}" in patient.said(), patient.said)
    (files / "go-on").touch()
    assert first.wait() == 0, first.said()
    assert patient.wait() == 0, patient.said()


def test_a_name_belongs_to_one_agent_and_a_directory_to_one_process(lab: Lab) -> None:
    """The one that is there works on, whoever tries to take its place."""
    lab.start_agents("n1")
    agent = lab.agents["n1"]
    assert lab.broker is not None
    copy = lab.directory / "copy"
    shutil.copytree(agent.state, copy, ignore=shutil.ignore_patterns("launcher.sock", "instance"))
    command = (sys.executable, "-m", "agents", lab.url, "--join", lab.token, "--name", "n1", "--state-dir")

    code, said = refused(lab, *command, copy)
    assert code == 3
    assert re.search(r"the name n1 is in use by another agent \(last heard \d+ s ago\)", said), said

    code, said = refused(lab, *command, agent.state)
    assert code == 3
    assert f"another fabric-agent (pid {agent.pid}) uses the state directory {agent.state}" in said

    code, said = refused(lab, *command, lab.directory / "fresh")
    assert code == 3
    assert "n1" in said

    broker = (sys.executable, "-m", "broker", "--state-dir")
    code, said = refused(lab, *broker, lab.directory / "broker", "--listen", "tcp://127.0.0.1:0")
    assert code == 3
    assert f"in use by another broker, process {lab.broker.pid}" in said

    code, said = refused(lab, *broker, lab.directory / "broker-2", "--listen", lab.url)
    assert code == 3
    assert f"port {lab.url.rsplit(':', 1)[1]} (for control) is in use" in said

    run = lab.run(TRIAL.format(name="works", nodes="n1", command="true"))
    assert run.wait() == 0, run.said()
    assert lab.nodes()["n1"]["incarnation"] == 1

"""A secret is in no file of the lab but where a node keeps it for a reset that it may owe."""

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from tests.integration.faults.lab import PATIENT, Agent, FabricRun, Lab
from tests.integration.faults.processes import until

VALUE: Final = "correct-horse/battery+staple"

TRIAL: Final = """
[trial]
name = "secrets"
lead = "150ms"

[nodes]
victim = "victim"
other  = "other"
halves = "halves"

[env]
TOKEN = "secret:API"

[[run.victim]]
name = "numbers"
cmd  = ["{python}", "-uc", '''
import os, time
token = os.environ["TOKEN"]
for number in range(10_000_000):
    print(number, token)
    if number % 10 == 0:
        time.sleep(0.01)
''']

[[run.halves]]
name = "halves"
cmd  = ["{python}", "-uc", '''
import fcntl, os, struct, sys, termios, time
token = os.environ["TOKEN"].encode()
for turn in (1, 2):
    os.write(1, token[:14])
    while struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, bytes(4)))[0]:
        time.sleep(0.01)     # until somebody has read it
    open("{files}/half-%d" % turn, "w").close()
    while not os.path.exists("{files}/go-%d" % turn):
        time.sleep(0.01)
    os.write(1, token[14:] + b" was it" + bytes([10]))
''']

[[run.halves]]
cmd = "sleep 600"
env = {{ TOKEN = "" }}

[[run.other]]
cmd = "test -z $TOKEN && sleep 600"
env = {{ TOKEN = "" }}

[[reset.victim]]
cmd = "printf %s \\"$TOKEN\\" | sha256sum >> {files}/reset-victim"
"""


def holding(directory: Path) -> set[str]:
    """Return the names of the files below a directory in which the secret is."""
    found = set()
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # of a run that is being removed
            if VALUE.encode() in data:
                found.add(path.name)
    return found


def test_a_killed_agent_resets_with_its_secret_and_then_forgets_it(lab: Lab) -> None:
    """It is kept where the next life finds it, and nowhere else."""
    lab.environment["FABRIC_SECRET_API"] = VALUE
    lab.agents["halves"] = Agent(lab, "halves")
    lab.agents["halves"].options = PATIENT
    lab.start_agents("victim", "other", "halves")
    files = lab.directory
    run = lab.run(TRIAL.format(python=sys.executable, files=files))
    until(lambda: "│ 500 ***\n" in run.said(), run.end_of_said)
    assert holding(files) == {"state"}
    restart_between_halves(lab, run)
    assert holding(lab.agents["other"].state) == set()
    victim = lab.agents["victim"]
    launcher = victim.launcher
    victim.kill()
    os.kill(launcher, signal.SIGKILL)
    lab.start_agents("victim")
    assert run.wait() == 3, run.said()
    until((files / "reset-victim").exists, "the victim's own reset")
    assert (files / "reset-victim").read_text().startswith(hashlib.sha256(VALUE.encode()).hexdigest())
    lab.wait_free("victim", "other", "halves")
    until(lambda: holding(files) == set(), lambda: f"no secret in {holding(files)}")
    run.check_bundle()
    lines = run.out(1, "run", "victim", "numbers.stdout").decode().splitlines()
    assert len(lines) > 500
    assert {line.partition(" ")[2] for line in lines[:-1]} == {"***"}
    assert run.out(1, "run", "halves", "halves.stdout").decode() == "*** was it\n" * 2


def restart_between_halves(lab: Lab, run: FabricRun) -> None:
    """Half of the secret was read and is kept back by an agent that is killed, then by one that upgrades."""
    agent = lab.agents["halves"]
    for turn in (1, 2):
        until((lab.directory / f"half-{turn}").exists, run.end_of_said)
        if turn == 1:
            agent.kill()
            lab.start_agents("halves")
        else:
            agent.begin_again()
        (lab.directory / f"go-{turn}").touch()
    until(lambda: run.said().count("was it") == 2, run.end_of_said)

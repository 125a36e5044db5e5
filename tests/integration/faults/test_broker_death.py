"""The broker is killed and started again while a run goes on: nothing is lost, and nothing comes twice."""

import re
import sys
from typing import Final

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

KILLS: Final = 3
LEAST_LINES: Final = 6000
"""Of each node's stdout, and as many of its stderr."""

MORE_BYTES: Final = 200_000
"""What fabric-run prints between two kills: some 3000 lines."""

NODES: Final = ("n1", "n2", "n3", "n4", "n5")

PRINTER: Final = """
import pathlib, sys, time
stop, least, number = pathlib.Path(sys.argv[1]), int(sys.argv[2]), 0
while number < least or not stop.exists():
    for number in range(number, number + 20):
        print("out", number, flush=True)
        print("err", number, file=sys.stderr)
    number += 1
    time.sleep(0.02)
print("end", number)
"""

TRIAL: Final = """
[trial]
name = "numbers"
lead = "2s"

[nodes]
all   = "n[1-5]"
first = "n1"

[[startup.first]]
spawn = '''
trap 'touch {files}/asked' TERM; touch {files}/held
while [ ! -e {files}/go-on ]; do sleep 0.05; done
'''
until = "run"
grace = "50s"

[[startup.first]]
cmd = "while [ ! -e {files}/held ]; do sleep 0.02; done"

[[run.all]]
name = "numbers"
cmd  = ["{python}", "-c", '''{printer}''', "{files}/stop", "{least}"]
"""

SHOWN: Final = re.compile(r"\[ *[\d.]+\] (\S+) all/numbers +([│!]) (.*)")


def test_a_broker_that_dies_again_and_again_loses_and_doubles_nothing(lab: Lab) -> None:
    """While a phase is prepared, between go and t0, and three times while five nodes print."""
    lab.start_agents(*NODES)
    files = lab.directory / "files"
    files.mkdir()
    text = TRIAL.format(files=files, python=sys.executable, printer=PRINTER, least=LEAST_LINES)
    run = lab.run(text, "--phases", "startup,run")

    until((files / "asked").exists, run.said)
    restart(lab)
    (files / "go-on").touch()
    run.wait_said("phase 1/run: go 1, lead 2.0 s")
    assert "all/numbers started" not in run.said()
    restart(lab)
    for _ in range(KILLS):
        run.wait_more(MORE_BYTES)
        restart(lab)
    run.wait_more(MORE_BYTES)
    (files / "stop").touch()

    assert run.wait() == 0, run.said()
    run.check_bundle()
    replayed = lab.command("tail", run.run)
    assert replayed.returncode == 0, replayed.stderr
    shown = [match.groups() for line in replayed.stdout.splitlines() if (match := SHOWN.fullmatch(line))]
    for node in NODES:
        stdout = run.out(1, "run", node, "numbers.stdout").decode().splitlines()
        stderr = run.out(1, "run", node, "numbers.stderr").decode().splitlines()
        count = int(stdout[-1].removeprefix("end "))
        assert count >= LEAST_LINES
        assert stdout == [*(f"out {number}" for number in range(count)), f"end {count}"]
        assert stderr == [f"err {number}" for number in range(count)]
        assert [text for name, sign, text in shown if (name, sign) == (node, "│")] == stdout
        assert [text for name, sign, text in shown if (name, sign) == (node, "!")] == stderr


def restart(lab: Lab) -> None:
    """Kill the broker, start it again on the same state and port."""
    lab.kill_broker()
    lab.start_broker()

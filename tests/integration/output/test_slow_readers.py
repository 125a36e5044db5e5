"""Whoever stops reading slows nobody but himself, and has everything in the end."""

import os
import re
import signal
from pathlib import Path
from typing import Final

from agents.launcher import tree
from tests.integration.faults.lab import FabricRun, Lab
from tests.integration.faults.processes import until
from tests.integration.output.printing import (
    LINE,
    MIB,
    Tail,
    check_numbered,
    log_bytes,
    numbered,
    out,
    peaks_of_the_fabric,
    spool_bytes,
)

LINES: Final = 800_000
"""80 MB: more than all sockets and windows on the way can hold."""

HEAD: Final = r"\[[ 0-9.]+\] lab1 only/print +│ "


def stop(pid: int) -> None:
    """Stop a process, and see that it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text(), f"{pid} to stop")


def wait_printing(lab: Lab, run: FabricRun) -> None:
    """Wait until the first of many lines are stored."""
    until(lambda: log_bytes(lab) > MIB, run.end_of_said)


def test_a_stopped_tail_slows_no_run_and_loses_nothing(lab: Lab) -> None:
    """A terminal that was frozen with Ctrl-S must not hold up the lab."""
    run = lab.run(numbered(lab, LINES).trial, "--quiet")
    until(lambda: any(run.output.glob("*/events.jsonl")), run.end_of_said)
    tail = Tail(lab, run.run)
    tail.wait_for(LINE % 0)
    stop(tail.process.pid)
    assert run.wait() == 0, run.end_of_said()
    check_numbered(out(run), LINES)

    tail.process.send_signal(signal.SIGCONT)
    assert tail.end() == 0
    # A line whose end is long in coming is shown in two parts.
    text = re.sub(f"…\n{HEAD}…", "", tail.path.read_text())
    shown = re.findall(f"^{HEAD}([0-9]{{11}}) x{{87}}$", text, re.MULTILINE)
    assert len(shown) == LINES
    assert all(int(digits) == number for number, digits in enumerate(shown))


def test_a_stopped_controller_holds_up_no_step(lab: Lab) -> None:
    """While it stands still the step prints on into the record log; then the bundle gets all of it."""
    run = lab.run(numbered(lab, LINES).trial, "--quiet")
    wait_printing(lab, run)
    stop(run.process.pid)
    until(lambda: log_bytes(lab) > LINES * 100, lambda: f"{log_bytes(lab)} bytes in the log")
    run.signal(signal.SIGCONT)
    assert run.wait() == 0, run.end_of_said()
    check_numbered(out(run), LINES)


def test_a_stopped_broker_lets_output_wait_on_the_disk_of_the_node(lab: Lab) -> None:
    """What cannot be shipped is in the journal: nothing is lost, and nobody's memory grows."""
    assert lab.broker is not None
    run = lab.run(numbered(lab, LINES).trial, "--quiet")
    wait_printing(lab, run)
    stop(lab.broker.pid)
    stored = log_bytes(lab)
    # The program ends though nobody takes its output: all but what is on its way waits in the spool.
    until(lambda: not lab.steps("lab1"), "the end of the program")
    assert spool_bytes(lab) + stored > LINES * 100
    lab.broker.send_signal(signal.SIGCONT)
    assert run.wait() == 0, run.end_of_said()
    assert max(peaks_of_the_fabric(lab).values()) < 100
    check_numbered(out(run), LINES)


def test_a_stopped_agent_makes_its_program_wait(lab: Lab) -> None:
    """Back-pressure ends at the program: it stands in its write and goes on where it was."""
    agent = lab.agents["lab1"]
    run = lab.run(numbered(lab, LINES).trial, "--quiet")
    wait_printing(lab, run)
    stop(agent.pid)
    (step,) = (pid for pid in lab.steps("lab1") if not tree.is_dead(pid))
    where = Path(f"/proc/{step}/wchan")  # 0: this kernel does not tell
    until(lambda: where.read_text() == "0" or "pipe_write" in where.read_text(), "the program to wait")
    os.kill(agent.pid, signal.SIGCONT)
    assert run.wait() == 0, run.end_of_said()
    check_numbered(out(run), LINES)

"""Programs that treat their stdout and stderr in ways that a reader does not expect."""

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until
from tests.integration.output.printing import Program, Tail, event, events, out


def test_bytes_that_are_no_text_come_untouched(lab: Lab) -> None:
    """Output is bytes: a capture file or a picture on stdout must be the same in the bundle."""
    program = Program(
        lab,
        """
import sys
sys.stdout.buffer.write(bytes(range(256)) * 1000)
sys.stderr.buffer.write(bytes(range(255, -1, -1)) * 1000)
""",
    )
    run = lab.run(program.trial)
    assert run.wait() == 0, run.end_of_said()
    assert out(run).read_bytes() == bytes(range(256)) * 1000
    assert out(run, "stderr").read_bytes() == bytes(range(255, -1, -1)) * 1000
    run.check_bundle()


def test_the_two_streams_are_apart_and_each_in_order(lab: Lab) -> None:
    """Both in one would cut the lines of one by the other's; within a stream the order is the program's."""
    program = Program(
        lab,
        """
import os
for number in range(20_000):
    os.write(1 + number % 2, b"%d\\n" % number)
""",
    )
    run = lab.run(program.trial, "--quiet")
    assert run.wait() == 0, run.end_of_said()
    assert out(run).read_text().split() == [str(number) for number in range(0, 20_000, 2)]
    assert out(run, "stderr").read_text().split() == [str(number) for number in range(1, 20_000, 2)]


def test_a_program_that_closes_its_streams_lives_on(lab: Lab) -> None:
    """A daemon in the foreground closes them at its start: the end of its output is not its own."""
    go_on = lab.directory / "go-on"
    program = Program(
        lab,
        f"""
import os, sys, time
print("before", flush=True)
os.close(1); os.close(2)
while not os.path.exists({str(go_on)!r}): time.sleep(0.01)
os._exit(7)
""",
    )
    run = lab.run(program.trial)
    run.wait_said("before")

    def ends() -> int:
        return sum(one["type"] == "output" and not one["size"] for one in events(run))

    until(lambda: ends() == 2, run.end_of_said)
    assert not [one for one in events(run) if one["type"] == "step_finished"]
    go_on.touch()
    assert run.wait() == 1, run.end_of_said()
    assert event(run, "step_finished")["exit_code"] == 7
    assert out(run).read_text() == "before\n"


def test_a_grandchild_that_holds_the_pipe_holds_nobody_up(lab: Lab) -> None:
    """The step ends with its program: what it left behind is ended, and the result says so."""
    program = Program(
        lab,
        """
import os, sys
print("mine", flush=True)
if os.fork() == 0:
    os.execlp("sleep", "sleep", "3600")
sys.exit(3)
""",
    )
    run = lab.run(program.trial)
    assert run.wait() == 1, run.end_of_said()
    finished = event(run, "step_finished")
    assert (finished["exit_code"], finished["pipe_held"]) == (3, True)
    assert out(run).read_text() == "mine\n"


def test_the_first_line_of_a_slow_printer_is_seen_while_it_runs(lab: Lab) -> None:
    """Watching is what fabric-tail is for; the program flushes nothing, as most do."""
    go_on = lab.directory / "go-on"
    program = Program(
        lab,
        f"""
import os, time
print("first")
while not os.path.exists({str(go_on)!r}): time.sleep(0.01)
print("last")
""",
    )
    run = lab.run(program.trial)
    run.wait_said("run of output")
    tail = Tail(lab, run.run)
    tail.wait_for("first")
    assert run.process.poll() is None
    assert "last" not in tail.path.read_text()
    go_on.touch()
    assert (run.wait(), tail.end()) == (0, 0), run.end_of_said()
    assert "last" in tail.path.read_text()

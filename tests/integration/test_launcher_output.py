"""The pipes: whole, apart, and told truthfully when somebody else holds them."""

import os
import signal
import time
from typing import Any

from agents.launcher.events import Ended, Exited, Started


def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_step(lab: Any) -> None:
    """`subprocess.run` would wait for the sleep; here the output is kept and the wait is short."""
    before_s = time.monotonic()
    armed = lab.start("a", lab.sh("echo hi; sleep 1000 & exit 3"))
    assert lab.wait(Exited, "a").exit_code == 3
    ended = lab.wait(Ended, "a")
    assert (ended.pipe_rest, ended.had_rest, ended.survivors) == (True, True, ())
    assert lab.read(armed.stdout_fd) == b"hi\n"
    assert time.monotonic() - before_s < 5


def test_a_rest_without_the_pipe_is_not_said_to_hold_it(lab: Any) -> None:
    """Its output is complete, though the tree was not."""
    code = (
        "went, go = os.pipe()\n"
        "if os.fork() == 0:\n"
        " null = os.open('/dev/null', os.O_RDWR); os.dup2(null, 1); os.dup2(null, 2)\n"
        " os.write(go, b'x'); time.sleep(1000)\n"
        "os.read(went, 1)"
    )
    lab.start("a", lab.python(code))
    ended = lab.wait(Ended, "a")
    assert (ended.pipe_rest, ended.had_rest) == (False, True)


def test_a_program_that_closes_its_output_lives_on(lab: Any) -> None:
    """The end of the pipes is not the end of the step."""
    code = "os.write(1, b'bye')\nos.close(1)\nos.close(2)\ntime.sleep(1000)"
    armed = lab.start("a", lab.python(code))
    lab.wait(Started, "a")
    assert lab.read(armed.stdout_fd) == b"bye"
    assert lab.read(armed.stderr_fd) == b""
    assert lab.left() == [armed.pid]
    assert not [event for event in lab.events if isinstance(event, Exited)]
    lab.client.end("a", signal.SIGTERM, 5.0)
    assert lab.wait(Exited, "a").signal == signal.SIGTERM


def test_output_is_whole_and_apart(lab: Any) -> None:
    """More than the pipes hold, on both streams, after the program has ended too."""
    code = (
        "for n in range(2000): os.write(1, b'%08d' % n * 256); os.write(2, b'e' * 100)\n"
        "os.write(1, bytes(range(256)))"
    )
    armed = lab.start("a", lab.python(code))
    stdout = lab.read(armed.stdout_fd)
    assert stdout == b"".join(b"%08d" % n * 256 for n in range(2000)) + bytes(range(256))
    assert lab.read(armed.stderr_fd) == b"e" * 200_000


def test_a_reader_that_closes_does_not_end_the_program(lab: Any) -> None:
    """The launcher holds the read ends too: no SIGPIPE when an agent dies."""
    code = (
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\nos.read(0, 1)\nfor _ in range(9): os.write(1, b'x')"
    )
    armed = lab.arm("a", lab.python(code))
    os.close(armed.stdout_fd)
    os.close(armed.stderr_fd)
    lab.client.release(["a"])
    assert lab.wait(Exited, "a").exit_code == 0

"""Steps that wait for each other, as the author of a trial sees them: ready, wait, stop, retries, spread."""

import socket
from pathlib import Path
from typing import Final

from tests.acceptance.conftest import Command
from tests.acceptance.test_steps import Ran, trial

ORDER: Final = """
[[startup.server]]
name  = "web"
spawn = "sleep 0.3; exec python3 -m http.server PORT --bind 127.0.0.1"
ready.port = PORT

[[startup.server]]
name  = "log"
spawn = "echo one; sleep 0.2; echo 'leader elected'; exec sleep 600"
ready.log = 'leader e\\w+'

[[startup.server]]
name  = "short"
spawn = "exit 3"
may_exit = true

[[run.client]]
name = "pause"
wait = "500ms"

[[run.client]]
name = "get"
cmd  = '''python3 -c "import urllib.request as u; print(u.urlopen('http://127.0.0.1:PORT').status)"'''

[[run.client]]
name     = "flaky"
cmd      = "echo try >> tries; test $(wc -l < tries) -ge 3"
retries  = 4
retry_on = "fail"

[[run.client]]
name = "end"
stop = "web"

[[run.client]]
name = "gone"
cmd  = "! python3 -c 'import socket; socket.create_connection((\\"127.0.0.1\\", PORT))'"
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_steps_wait_for_what_they_need(command: Command, tmp_path: Path) -> None:
    """A server is there when its clients come, and is gone when they were told so."""
    ran = Ran(trial(ORDER.replace("PORT", str(free_port())), "server", "client"), command, tmp_path)

    assert ran.done.returncode == 0, ran.done.stdout
    ends = ran.ends("reason", "failed")
    assert ends["pause"] == ends["end"] == ("done", False)
    assert ends["web"] == ("stopped", False)
    assert ends["short"] == ("exited", False)
    assert ran.out("get") == "200\n"
    assert ran.steps["pause"]["duration_s"] >= 0.5
    attempts = [step for step in ran.result["steps"] if step["step"] == "flaky"]
    assert [(step["attempt"], step["failed"]) for step in attempts] == [(1, True), (2, True), (3, False)]


UNREADY: Final = """
[[startup.server]]
name  = "deaf"
spawn = "echo asleep; exec sleep 600"
ready.cmd = "echo no answer >&2; exit 4"
ready.within = "700ms"

[[startup.other]]
name = "long"
wait = "1h"

[run]
other = "echo never"

[[collect.other]]
name = "explains"
cmd  = "echo why"
when = "failed"
"""


def test_a_server_that_is_not_ready_ends_the_phase_with_the_reason(command: Command, tmp_path: Path) -> None:
    """Nobody waits for an hour; and what was seen last is said."""
    ran = Ran(trial(UNREADY, "server", "other"), command, tmp_path)

    assert ran.done.returncode == 1, ran.done.stdout
    assert ran.ends("reason", "failed") == {
        "deaf": ("not_ready", True),
        "long": ("stopped", False),
        "explains": ("exited", False),
    }
    (why,) = ran.result["why"]
    assert "did not succeed within 0.7 s (exit 4, its last line: no answer)" in why
    assert why.endswith("last line: asleep")

"""Events: where they go, what they cost."""

import io
import json
import subprocess
import sys

import pytest
import structlog

from fabric.log import get_logger, level_for, set_up, set_up_command


@pytest.fixture(autouse=True)
def _as_before() -> None:
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_an_event_is_one_line_of_json_with_its_values() -> None:
    """Machines read the log of a lab's broker."""
    stream = io.StringIO()
    set_up("info", as_json=True, stream=stream)
    get_logger(node="lab1").bind(run="r").info("step_started", pid=7)
    event = json.loads(stream.getvalue())
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "step_started", "level": "info", "node": "lab1", "run": "r", "pid": 7}


def test_a_level_keeps_out_what_is_below_it() -> None:
    """Quiet is quiet."""
    stream = io.StringIO()
    set_up("warning", stream=stream)
    get_logger().info("peer_joined")
    assert stream.getvalue() == ""


def test_v_and_q_move_the_level_and_stop_at_the_ends() -> None:
    """-vvvv is no error."""
    assert [level_for(n) for n in (-9, -1, 0, 1, 9)] == ["error", "warning", "info", "debug", "debug"]
    assert level_for(1, usual="warning") == "info"


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    """https://no-color.org: set and not empty means none."""
    monkeypatch.setenv("NO_COLOR", no_color)
    for stream, wanted in ((Terminal(), coloured), (io.StringIO(), False)):
        set_up("info", stream=stream)
        get_logger().info("peer_joined")
        assert ("\x1b[" in stream.getvalue()) == wanted


def test_a_command_says_what_has_a_sentence_as_that_and_with_v_as_an_event() -> None:
    """Among the lines of a run an event with its keys is noise; who looks for a fault wants it."""
    for verbose in (False, True):
        stream = io.StringIO()
        set_up_command(verbose=verbose, quiet=False, stream=stream)
        get_logger().warning("broker_lost", sentence="broker away\x1b[2J: cut")
        get_logger().warning("message_refused", error="x")
        first, second = stream.getvalue().splitlines()
        assert (first == "broker away\\x1b[2J: cut") != verbose
        assert ("broker_lost" in first) == verbose
        assert "message_refused" in second
    stream = Terminal()
    set_up_command(verbose=False, quiet=True, stream=stream)
    get_logger().warning("broker_lost", sentence="broker away: cut")
    assert stream.getvalue() == ""


def test_a_reader_of_the_log_that_went_away_ends_nothing() -> None:
    """A broker outlives the terminal that it was started in."""
    set_up("info", stream=Gone())
    get_logger().warning("peer_lost")


def test_events_without_set_up_stay_off_stdout() -> None:
    """Results are there, and programs read them; structlog's own default prints there too."""
    assert python("import fabric.log; fabric.log.get_logger().error('peer_lost')") == ""


def test_structlog_costs_nothing_until_an_event_comes() -> None:
    """`--help` answers fast."""
    assert (
        python("import sys, fabric.log; fabric.log.get_logger(); print('structlog' in sys.modules)")
        == "False"
    )


def test_events_that_nobody_wants_cost_no_structlog() -> None:
    """A short command of an operator tells nothing but what went wrong."""
    code = (
        "import sys; from fabric.log import get_logger, set_up; set_up('warning'); log = get_logger(a=1)\n"
        "log.info('broker_found', b=2); print('structlog' in sys.modules); log.warning('broker_lost', b=2)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
    assert "broker_lost" in done.stderr


def test_structlog_brings_no_ballast_and_hides_none() -> None:
    """Rich and asyncio cost an agent 11 MB for nothing; who wants them afterwards gets the real ones."""
    code = (
        "import sys, fabric.log; fabric.log.set_up(); fabric.log.get_logger().info('peer_joined');"
        "print([name in sys.modules for name in ('rich', 'asyncio', 'ssl')]);"
        "import asyncio, rich.console, structlog; asyncio.run(asyncio.sleep(0));"
        "asyncio.run(structlog.get_logger().ainfo('from_a_task'))"
    )
    assert python(code) == "[False, False, False]"

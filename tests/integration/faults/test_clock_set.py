"""The wall clock is set by hours, forth and back, in a run whose broker restarts: nothing comes of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.faults.lab import Lab
from tests.integration.faults.shim import Shim

HOUR_S: Final = 3600

WALL: Final = """
int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, id, now);
    if (value && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *value;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (out)
        *out = at.tv_sec;
    return at.tv_sec;
}
"""

TRIAL: Final = """
[trial]
name = "set"
phases = ["startup", "run", "after", "collect", "reset"]
lead = "300ms"
[nodes]
all = ["lab1", "lab2"]
[[startup.all]]
name  = "behind"
spawn = "sleep 600"
[[run.all]]
name    = "first"
cmd     = "date +%s; while [ ! -e {directory}/set ]; do sleep 0.05; done; date +%s; sleep 0.2"
timeout = "60s"
[[after.all]]
name    = "second"
cmd     = "date +%s; while [ ! -e {directory}/back ]; do sleep 0.05; done; date +%s; sleep 0.2"
timeout = "60s"
"""


@pytest.fixture
def clock(tmp_path: Path) -> Shim:
    """The wall clock of all processes that have it: seconds by which it is wrong."""
    return Shim(tmp_path, WALL)


@pytest.fixture
def shifted_lab(tmp_path: Path, clock: Shim) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.environment |= clock.environment
    try:
        made.start_broker()
        made.start_agents("lab1", "lab2")
        yield made
    finally:
        made.close()


def test_a_clock_that_is_set_by_an_hour_changes_nothing(shifted_lab: Lab, clock: Shim) -> None:
    """Broker, agents, launchers and controller all see it; the programs of the trial, too.

    A broker that starts again finds a clock two hours behind the one by which the run has begun.
    """
    lab = shifted_lab
    run = lab.run(TRIAL.format(directory=lab.directory))
    run.wait_said("all/first")
    clock.set(HOUR_S)
    (lab.directory / "set").touch()
    run.wait_said("all/second")
    clock.set(-HOUR_S)
    lab.kill_broker()
    lab.start_broker()
    (lab.directory / "back").touch()
    assert run.wait() == 0, run.said()
    for node in ("lab1", "lab2"):
        before, after = map(int, run.out(1, "run", node, "first.stdout").split())
        assert HOUR_S <= after - before < HOUR_S + 60, "the clock was set for what runs"
    lines = (run.bundle / "events.jsonl").read_text().splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    times = [event["t"] for event in events]
    assert max(times) - min(times) < 60, "no instant is off by an hour"
    took_s = [event["duration"] for event in events if event["type"] == "step_finished"]
    assert len(took_s) == 6
    assert all(0 < duration_s < 60 for duration_s in took_s)
    assert {name: node["state"] for name, node in lab.nodes().items()} == {"lab1": "free", "lab2": "free"}
    assert not [event for event in events if event["type"] == "notice"]
    assert 0 < json.loads((run.bundle / "result.json").read_text())["duration_s"] < 60
    assert "clock_kept" in lab.log("broker")

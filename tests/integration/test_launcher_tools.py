"""Other tools that trace find a released program as they find any: nobody holds it any more."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agents.launcher.events import Ended, Started

WITHIN_S = 60  # only a failing test waits so long


def tool(name: str) -> str:
    """Return the path of a program that the test needs."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name}")
    return path


def started(lab: Any, code: str = "print('up', flush=True)\nwhile True: time.sleep(0.01)") -> int:
    """Start a program that was held by the kernel; return its pid once it runs."""
    armed = lab.start("a", lab.python(code))
    assert lab.wait(Started, "a").way == "exec_stop"
    lab.read(armed.stdout_fd, b"up\n")
    pid: int = armed.pid
    return pid


def end(lab: Any) -> None:
    """End it."""
    lab.client.end("a", signal.SIGKILL, 0)
    assert lab.wait(Ended, "a").survivors == ()


def test_strace_attaches_to_a_released_program(plain_lab: Any) -> None:
    """And leaves it running: a trace that was not given up would refuse it."""
    pid = started(plain_lab)
    with subprocess.Popen(
        [tool("strace"), "-p", str(pid), "-e", "trace=clock_nanosleep,select,pselect6"],
        stderr=subprocess.PIPE,
        text=True,
    ) as strace:
        assert strace.stderr
        seen = next(line for line in strace.stderr if "sleep" in line or "select" in line)
        strace.send_signal(signal.SIGINT)
        strace.stderr.read()
    assert seen
    assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
    end(plain_lab)


def test_gdb_attaches_to_a_released_program_and_finds_its_linker_whole(plain_lab: Any) -> None:
    """The breakpoint that was set in it is gone, and the program works on after the debugger."""
    pid = started(plain_lab)
    words = ["-nx", "-batch", "-p", str(pid), "-ex", "x/4xb _dl_debug_state", "-ex", "info sharedlibrary"]
    done = subprocess.run(
        [tool("gdb"), *words], capture_output=True, text=True, check=False, timeout=WITHIN_S
    )
    assert "libc.so" in done.stdout, done.stderr
    code = next((line for line in done.stdout.splitlines() if "_dl_debug_state" in line), "")
    assert "0xcc" not in code
    assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
    end(plain_lab)


def test_perf_counts_a_released_program(plain_lab: Any) -> None:
    """It attaches by its events, not by a trace."""
    pid = started(plain_lab)
    words = ["stat", "-e", "task-clock", "-p", str(pid), "--timeout", "50"]
    done = subprocess.run(
        [tool("perf"), *words], capture_output=True, text=True, check=False, timeout=WITHIN_S
    )
    if done.returncode and ("permission" in done.stderr.lower() or "not found" in done.stderr.lower()):
        pytest.skip("this kernel permits no perf")
    assert done.returncode == 0, done.stderr
    assert "task-clock" in done.stderr
    end(plain_lab)


def test_a_program_may_trace_its_own_children(plain_lab: Any) -> None:
    """A step may be `strace program`: what traces is one of ours, what it traces is not."""
    armed = plain_lab.start("a", [tool("strace"), "-f", "-e", "trace=write", "/bin/echo", "said"])
    assert b"said\n" in plain_lab.read(armed.stdout_fd)
    assert b'write(1, "said\\n", 5)' in plain_lab.read(armed.stderr_fd)
    plain_lab.wait(Ended, "a")


def test_the_page_of_the_breakpoint_is_as_in_the_file(plain_lab: Any) -> None:
    """What the launcher changed in the program's memory it has put back, byte for byte."""
    pid = started(plain_lab)
    maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    linker = [words for words in maps if len(words) > 5 and "/ld-" in words[5] and "x" in words[1]]
    if not linker:
        pytest.skip("the program has no dynamic linker")
    (span, _, offset, _, _, name), *_ = linker
    first, last = (int(word, 16) for word in span.split("-"))
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        found = os.pread(memory, last - first, first)
    finally:
        os.close(memory)
    with Path(name).open("rb") as file:
        file.seek(int(offset, 16))
        wanted = file.read(last - first)
    assert found[: len(wanted)] == wanted
    end(plain_lab)

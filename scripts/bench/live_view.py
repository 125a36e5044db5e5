#!/usr/bin/env python3
"""What the live view costs: CPU for each second of a run in which 64 nodes print 1,000 lines/s in all.

The lines come one record each, as the controller's loop has them; the terminal is a pty that another process
reads.  `none` is the same loop with nothing to show.  The floor is `cat` of the same lines into such a pty.

    scripts/bench/live_view.py [--seconds 20] [--nodes 64] [--rate 1000]
"""

import argparse
import fcntl
import os
import pty
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

from fabric.controller.entry import Read
from fabric.protocol import records as r
from fabric.report.live import LiveWatch
from fabric.report.printer import Gap, Printer
from fabric.report.watch import QuietWatch, TextWatch, Watch, tell_gap

LINES, COLUMNS = 50, 160
TEXT = "64 bytes from 10.1.0.6: icmp_seq=12 ttl=64 time=0.041 ms and some more of it"
S = 1_000_000_000


def on_pty(work: Callable[[int], None]) -> float:
    """Do the work in a process whose stdout is a pty that is read here; return its CPU seconds."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    child = os.fork()
    if child == 0:
        os.close(master)
        work(slave)
        os._exit(0)
    os.close(slave)
    while True:
        try:
            if not os.read(master, 65536):
                break
        except OSError:
            break
    _, status, usage = os.wait4(child, 0)
    os.close(master)
    assert status == 0, status
    return usage.ru_utime + usage.ru_stime


def watched(kind: str, nodes: int, rate: int, seconds: float) -> Callable[[int], None]:
    """Return the work of feeding a view at the pace of a run."""

    def work(fd: int) -> None:
        with Printer(fd, encoding="utf-8", tell=_fail) as printer:
            watch = {
                "live": lambda: LiveWatch(printer, lambda _: "", lambda: (COLUMNS, LINES), color=True),
                "plain": lambda: TextWatch(printer, lambda _: ""),
                "none": lambda: QuietWatch(printer),
            }[kind]()
            feed(watch, nodes, rate, seconds)
            watch.close()
            assert not printer.not_shown

    return work


def _fail(gap: Gap) -> str:
    raise SystemExit(tell_gap(gap))


def feed(watch: Watch, nodes: int, rate: int, seconds: float) -> None:
    """Give the view a record at its time, and time where it wants it."""
    names = tuple(f"lab{number}" for number in range(1, nodes + 1))
    begin_ns = time.monotonic_ns()
    head: list[tuple[str, r.Record]] = [
        ("", r.RunStarted(t_ns=begin_ns, bound_ns=0, name="bench", nodes=names, phases=("run", "reset"))),
        ("", r.PhaseStarted(t_ns=begin_ns, bound_ns=0, phase="1/run", go=1, t0_ns=begin_ns, lead_ns=0)),
    ]
    for name in names:
        start = r.StepStarted(
            t_ns=begin_ns, bound_ns=0, step="1/run/load/load-1", attempt=1, pid=1, event="exec",
            planned_ns=0, go=1,
        )  # fmt: skip
        head.append((name, start))
    watch([Read(number, node, record, b"") for number, (node, record) in enumerate(head, 1)], begin_ns)
    data = f"{TEXT}\n".encode()
    for number in range(round(rate * seconds)):
        due_ns = begin_ns + number * S // rate
        while (now_ns := time.monotonic_ns()) < due_ns:
            until_ns = min(due_ns, watch.deadline_ns or due_ns)
            if until_ns > now_ns:
                time.sleep((until_ns - now_ns) / S)
            else:
                watch([], now_ns)
        output = r.Output(
            t_ns=now_ns, bound_ns=0, step="1/run/load/load-1", attempt=1, stream="stdout", offset=0,
            size=len(data),
        )  # fmt: skip
        watch([Read(len(head) + number, names[number % nodes], output, data)], now_ns)


def cat_cpu_s(path: Path) -> float:
    """Return the CPU seconds of `cat`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    master, slave = pty.openpty()
    cat = subprocess.Popen(["cat", str(path)], stdout=slave)
    os.close(slave)
    while True:
        try:
            if not os.read(master, 65536):
                break
        except OSError:
            break
    cat.wait()
    os.close(master)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def idle(fd: int) -> None:
    """Do nothing: what a process like ours costs before it shows anything."""
    os.write(fd, b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    seconds = arguments.seconds
    count = round(arguments.rate * seconds)
    ways: dict[str, list[float]] = {"live": [], "plain": [], "none": [], "cat": []}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "lines"
        path.write_text(f"[ 12.345] lab12 load/load-1 │ {TEXT}\n" * count)
        for _ in range(arguments.rounds):
            base = on_pty(idle)
            for kind in ("live", "plain", "none"):
                cpu_s = on_pty(watched(kind, arguments.nodes, arguments.rate, seconds)) - base
                ways[kind].append(cpu_s / seconds)
            ways["cat"].append(cat_cpu_s(path) / seconds)
    floor = statistics.median(ways["cat"])
    print(f"{arguments.nodes} nodes, {arguments.rate} lines/s in all, CPU for each second:")
    for kind, found in ways.items():
        middle = statistics.median(found)
        spread = f"{min(found) * 1000:.1f} to {max(found) * 1000:.1f}"
        print(f"  {kind:6} {middle * 1000:8.1f} ms  ({spread})  {middle / floor:8.1f} x cat")


if __name__ == "__main__":
    sys.exit(main())

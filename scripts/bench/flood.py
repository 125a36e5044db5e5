#!/usr/bin/env python3
"""Resident memory of all processes while many agents print at full speed, and who reads stands still.

Floor: the same processes before the flood.  A tail is stopped by SIGSTOP soon after the begin; with
`--slow controller` it is the controller, for a while.  With `--disk broker --disk-ms 500` each sync of the
broker's disk takes half a second longer.
"""

import argparse
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from common import Lab, end_cleanly, program
from native import slow_disk

NICE = 10
"""Of the agents: two hundred on the machine of the broker would leave it a hundredth of a processor."""

PAGE = os.sysconf("SC_PAGE_SIZE")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6 bytes), 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def written(pid: int) -> int:
    """Return how many bytes a process has written, whatever to."""
    told = Path(f"/proc/{pid}/io").read_text().split()
    return int(told[told.index("wchar:") + 1])


def below(pid: int) -> list[int]:
    """Return all descendants of a process."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [one for word in words for one in (int(word), *below(int(word)))]


def kind_of(pid: int) -> str:
    """Return agent or launcher; "" for what a step runs."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return ""
    if any(b"launcher" in word for word in words):
        return "launcher"
    return "agent" if any(b"agents" in word or b"nursery" in word for word in words) else ""


def take(lab: Lab, readers: dict[str, int], highest: dict[str, float]) -> None:
    """Note the largest process of each kind."""
    found = dict(readers) | {"broker": lab.processes["broker"].pid}
    for name, pid in found.items():
        highest[name] = max(highest.get(name, 0.0), rss_mb(pid))
    for pid in below(lab.processes["nursery"].pid):
        if kind := kind_of(pid):
            highest[kind] = max(highest.get(kind, 0.0), rss_mb(pid))


def stored_mb(lab: Lab) -> float:
    """Return what the records take."""
    return sum(path.stat().st_size for path in (lab.directory / "broker" / "runs").rglob("*.records")) / 1e6


def flood(lab: Lab, seconds: int, slow: str) -> None:
    """Print the largest resident memory of each kind, before and in each fifth of the flood."""
    command = ["exec", "-q", ",".join(lab.nodes), "--", "timeout", str(seconds), "yes", "x" * 99]
    before: dict[str, float] = {}
    take(lab, {}, before)
    with (lab.directory / "readers.log").open("wb") as errors:
        start = partial(
            subprocess.Popen[bytes], stdout=subprocess.DEVNULL, stderr=errors, env=lab.environment
        )
        controller = start([program("fabric"), *command])
        while stored_mb(lab) < 1:
            if controller.poll() is not None:
                raise SystemExit((lab.directory / "readers.log").read_text())
            time.sleep(0.1)
        tail = start([program("fabric-tail"), "latest"])
        readers = {"controller": controller.pid, "tail": tail.pid}
        while written(tail.pid) < 1_000_000:  # it has not begun to read
            time.sleep(0.1)
        stopped = readers[slow]
        os.kill(stopped, signal.SIGSTOP)
        print(f"{'s':>4} {'stored MB':>10}  largest resident memory, MB")
        print(f"{'':>15}  " + "  ".join(f"{name} {mb:.0f}" for name, mb in sorted(before.items())))
        begin_s = time.monotonic()
        for part in range(1, 6):
            highest: dict[str, float] = {}
            while time.monotonic() < begin_s + part * seconds / 5:
                take(lab, readers, highest)
                time.sleep(0.2)
            told = "  ".join(f"{name} {mb:.0f}" for name, mb in sorted(highest.items()))
            print(f"{time.monotonic() - begin_s:4.0f} {stored_mb(lab):10.0f}  {told}", flush=True)
        os.kill(stopped, signal.SIGCONT)
        for process in (controller, tail):
            process.terminate()
            process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--slow", choices=("tail", "controller"), default="tail", help="who stands still")
    parser.add_argument("--place", type=Path, help="where the records go")
    parser.add_argument("--disk", choices=("broker", "agents"), default="broker", help="whose disk is slow")
    parser.add_argument("--disk-ms", type=int, default=0, help="that each sync of it takes longer")
    options = parser.parse_args()
    end_cleanly()
    nodes = [f"n{index}" for index in range(options.agents)]
    with TemporaryDirectory() as built:
        extra = {options.disk: slow_disk(Path(built), options.disk_ms)} if options.disk_ms else None
        with Lab(nodes, options.place, forked=True, extra=extra, nice=NICE) as lab:
            flood(lab, options.seconds, options.slow)


if __name__ == "__main__":
    main()

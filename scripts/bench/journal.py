#!/usr/bin/env python3
"""How fast output goes through the journal: program -> pipe -> spool -> batches, everything acknowledged.

The floor is the same program through a pipe into ``cat > file`` on the same disk; the two take turns, so that
whatever else the machine does meets both.  A second line is about records without output.
"""

import argparse
import fcntl
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from agents.journal import Journal, Moved
from fabric.protocol.records import Notice

RUN = "20240101-000000-bench-abcd"
PIPE_BYTES = 1 << 20
ACKNOWLEDGE_EVERY = 16  # batches; about what a group commit covers


def program(size_bytes: int) -> subprocess.Popen[bytes]:
    """Start what prints: in writes of 64 KiB, as a program with its own buffer does."""
    command = ["dd", "if=/dev/zero", "bs=64k", f"count={size_bytes >> 16}", "status=none"]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def through_journal(root: Path, size_bytes: int) -> float:
    """Return the seconds from the start of the program to the last batch."""
    journal = Journal.create(root, RUN, 1)
    start = time.perf_counter()
    with program(size_bytes) as source:
        assert source.stdout is not None
        pipe = source.stdout.fileno()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        shipped = ship_all(journal, pipe)
    seconds = time.perf_counter() - start
    assert shipped == size_bytes
    journal.remove()
    return seconds


def ship_all(journal: Journal, pipe: int) -> int:
    """Capture, and send what is there after each capture.  Returns the bytes of output sent."""
    stream = journal.open_stream("1/run/role/step", 1, "stdout")
    shipped = batches = 0
    moved = None
    while moved is None or not isinstance(moved, Moved) or moved.size:
        moved = journal.capture(stream, pipe, 1, 1)
        if moved is None:
            select.select([pipe], [], [])
        while shipment := journal.next_batch():
            shipped += len(shipment.payload)
            batches += 1
            if batches % ACKNOWLEDGE_EVERY == 0:
                journal.acknowledge(journal.sent)
    journal.acknowledge(journal.sent)
    return shipped


def through_cat(root: Path, size_bytes: int) -> float:
    """Return the seconds that ``program | cat > file`` takes."""
    target = root / "floor"
    start = time.perf_counter()
    with program(size_bytes) as source, target.open("wb") as file:
        assert source.stdout is not None
        fcntl.fcntl(source.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        subprocess.run(["cat"], stdin=source.stdout, stdout=file, check=True)
    seconds = time.perf_counter() - start
    target.unlink()
    return seconds


def records_per_second(root: Path, count: int) -> tuple[float, float]:
    """Return how many records without output are appended, and how many are sent, in a second."""
    journal = Journal.create(root, RUN, 1)
    record = Notice(t_ns=1, bound_ns=1, level="info", message="a line of a reasonable length, as they are")
    start = time.perf_counter()
    for _ in range(count):
        journal.append(record)
    appended = time.perf_counter()
    while journal.next_batch():
        journal.acknowledge(journal.sent)
    sent = time.perf_counter()
    journal.remove()
    return count / (appended - start), count / (sent - appended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024, help="of output in one turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--dir", default=None, help="where the files go (default: the temporary directory)")
    options = parser.parse_args()
    size_bytes = options.megabytes << 20
    root = Path(tempfile.mkdtemp(prefix="bench-journal-", dir=options.dir))
    try:
        journal, floor = [], []
        for _ in range(options.turns):
            floor.append(through_cat(root, size_bytes))
            journal.append(through_journal(root, size_bytes))
        appended, sent = records_per_second(root, 100_000)
    finally:
        shutil.rmtree(root)
    rates = [size_bytes / median(seconds) / 1e6 for seconds in (journal, floor)]
    print(f"journal {rates[0]:.0f} MB/s, cat > file {rates[1]:.0f} MB/s, ratio {rates[0] / rates[1]:.2f}")
    print(f"records without output: appended {appended:.0f}/s, sent {sent:.0f}/s")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How fast the record log takes entries, beside plain write and fdatasync at the same interval.

Both append the same bytes to a new file in DIR and make them durable every 10 ms in a thread; the rounds
alternate, so that a noisy disk disturbs both.  Prints the medians and their ratio.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

from fabric.protocol.messages import EntryHead
from fabric.store.commit import GroupCommit
from fabric.store.record_log import RecordLog

INTERVAL_S = 0.010
BATCH = os.urandom(300)


def floor(place: Path, payload: bytes, entries: int) -> float:
    """Return the seconds that plain writes take until all is durable."""
    fd = os.open(place / "floor", os.O_WRONLY | os.O_CREAT, 0o600)
    wanted = threading.Semaphore(0)
    ended = threading.Event()

    def work() -> None:
        while wanted.acquire() and not ended.is_set():
            os.fdatasync(fd)

    thread = threading.Thread(target=work)
    thread.start()
    begin = due = time.perf_counter()
    for _ in range(entries):
        os.write(fd, payload)
        if time.perf_counter() >= due:
            due += INTERVAL_S
            wanted.release()
    ended.set()
    wanted.release()
    thread.join()
    os.fdatasync(fd)
    spent = time.perf_counter() - begin
    os.close(fd)
    return spent


def log(place: Path, payload: bytes, entries: int) -> float:
    """Return the seconds that the record log takes until all is durable."""
    commit: GroupCommit[str] = GroupCommit()
    records = RecordLog.open(place / "log")
    begin = due = time.perf_counter()
    for number in range(1, entries + 1):
        head = EntryHead(number=number, count=1, node="lab1", incarnation=1, first=number)
        records.append(head, BATCH, payload)
        if time.perf_counter() >= due:
            due += INTERVAL_S
            commit.submit("run", records)
            commit.collect()
    commit.submit("run", records)
    commit.close()
    spent = time.perf_counter() - begin
    assert records.durable_number == entries + 1
    records.close()
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="on the disk to be measured")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=128, help="bytes of each round")
    arguments = parser.parse_args()
    for kib in (64, 128):
        payload = os.urandom(kib * 1024)
        entries = arguments.mib * 1024 // kib
        rates: dict[str, list[float]] = {"floor": [], "log": []}
        for _ in range(arguments.rounds):
            for name, run in (("floor", floor), ("log", log)):
                with tempfile.TemporaryDirectory(dir=arguments.dir) as place:
                    rates[name].append(arguments.mib / run(Path(place), payload, entries))
        middle = {name: statistics.median(values) for name, values in rates.items()}
        spread = {name: f"{min(values):.0f}..{max(values):.0f}" for name, values in rates.items()}
        print(
            f"entries of {kib} KiB: log {middle['log']:.0f} MiB/s ({spread['log']}),"
            f" write + fdatasync {middle['floor']:.0f} MiB/s ({spread['floor']}),"
            f" ratio {middle['log'] / middle['floor']:.2f}"
        )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a phase costs besides its work: for 1, 16, 64 and 256 agents, with a phase that does nothing.

overhead: from the end of one phase (the last node's) to t0 of the next.  It has three parts, one after the
other: until the controller has read the last record of the end, which is on the disk then; until all nodes
are ready and the go is sent; its lead, and in that until the last node has confirmed.  empty phase: from its
t0 to its end.  With --program each node starts `true`.
Floor: the round trips that a phase cannot do without (prepare and ready, go and confirmation), as four
round trips of 64 bytes over TCP on this machine for each node, one after another.
Aim: an overhead of less than 25 ms and 0.2 ms for each node, of which the lead of the go is the largest part.
The agents are forked from one process that has imported what they need: 256 of them are up in seconds and
share their memory, and nothing of what is measured is different.

In a lab each agent has a machine, here all of them share one.  So it is said, too, how much of the processors
agents, broker and controller take for each node and phase: what a run of many phases takes more than one of a
single phase.  What the agents take, over the processors of this machine, is in no lab a part of a phase.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import Lab, end_cleanly, program, spread
from figures import load
from spent import family, spent_ns

ROUND_TRIPS = 4

AIM_MS, AIM_NODE_MS = 25.0, 0.2


def round_trips_ms(nodes: int) -> float:
    """Return the milliseconds of four round trips for each of ``nodes`` over one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        for one in (client, peer):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def echo() -> None:
            while data := peer.recv(64):
                peer.sendall(data)

        thread = threading.Thread(target=echo)
        thread.start()
        begin = time.perf_counter()
        for _ in range(ROUND_TRIPS * nodes):
            client.sendall(b"x" * 64)
            client.recv(64)
        spent_s = time.perf_counter() - begin
        client.close()
        thread.join()
        peer.close()
    return spent_s * 1e3


@dataclass
class Found:
    """Milliseconds, one for each phase."""

    gaps: list[float] = field(default_factory=list)  # from the end of a phase to t0 of the next
    records: list[float] = field(default_factory=list)  # ... of which until the last record of it was read
    ready: list[float] = field(default_factory=list)  # ... from there to the go
    leads: list[float] = field(default_factory=list)  # ... and from the go to t0
    confirms: list[float] = field(default_factory=list)  # ... of which until the last node had confirmed
    lengths: list[float] = field(default_factory=list)  # from t0 to the end
    aborted: int = 0  # goes that were taken back
    spent: dict[str, list[float]] = field(default_factory=dict)  # by whom, for each node and phase


def one_run(lab: Lab, repeats: int, *, program_too: bool) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return the events of a run of empty phases, and what it took of the processors, in ms."""
    when = "always" if program_too else "failed"
    agents = family(lab.processes["nursery"].pid)
    before = [spent_ns(agents), spent_ns([lab.processes["broker"].pid])]
    with tempfile.TemporaryDirectory() as place:
        trial = Path(place) / "empty.toml"
        nodes = ", ".join(f'"{node}"' for node in lab.nodes)
        trial.write_text(
            f'[trial]\nname = "empty"\nrepeat = {repeats}\n[nodes]\na = [{nodes}]\n'
            f'[reset]\na = {{ cmd = "true", when = "{when}" }}\n'
        )
        command = [program("fabric-run"), "-q", "-o", f"{place}/runs", str(trial)]
        with (Path(place) / "said").open("w+") as said:
            started = subprocess.Popen(command, env=lab.environment, stdout=said, stderr=said)
            _, status, usage = os.wait4(started.pid, 0)
            started.returncode = os.waitstatus_to_exitcode(status)
            if started.returncode:
                said.seek(0)
                raise SystemExit(said.read())
        lines = (Path(place) / "runs" / "latest" / "events.jsonl").read_text().splitlines()
    spent = {
        "agents": (spent_ns(agents) - before[0]) / 1e6,
        "broker": (spent_ns([lab.processes["broker"].pid]) - before[1]) / 1e6,
        "controller": (usage.ru_utime + usage.ru_stime) * 1e3,
    }
    return [json.loads(line) for line in lines], spent


def phases_ms(lab: Lab, repeats: int, found: Found, *, program_too: bool) -> None:
    """Note the figures of one run of empty phases, and what it takes more than one with a single phase."""
    _, least = one_run(lab, 1, program_too=program_too)
    events, most = one_run(lab, repeats, program_too=program_too)
    note(events, found)
    shares = len(lab.nodes) * (repeats - 1)
    for who in most if shares else ():
        found.spent.setdefault(who, []).append((most[who] - least[who]) / shares)


def note(events: Sequence[dict[str, Any]], found: Found) -> None:
    """Note what the events of a run say of its phases."""
    starts, ends, read, gone = [], [], [], []
    last_finish = 0.0
    for event in events:
        if event["type"] == "phase_started":
            starts.append(event["t0"])
            gone.append(event["t0"] - event["lead"])
            found.leads.append(event["lead"] * 1e3)
            found.confirms.append(event["confirm"] * 1e3)
        elif event["type"] == "phase_aborted":
            found.aborted += 1
        elif event["type"] == "phase_finished":
            last_finish = max(last_finish, event["t"])
        elif event["type"] == "phase_ended":
            ends.append(last_finish)
            read.append(event["t"])
    found.records += [(later - end) * 1e3 for end, later in zip(ends, read, strict=True)][:-1]
    found.ready += [(go - end) * 1e3 for end, go in zip(read, gone[1:], strict=False)]
    found.gaps += [(start - end) * 1e3 for end, start in zip(ends, starts[1:], strict=False)]
    found.lengths += [(end - start) * 1e3 for start, end in zip(starts, ends, strict=True)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 16, 64, 256])
    parser.add_argument("--repeats", type=int, default=5, help="of all phases in one run")
    parser.add_argument("--rounds", type=int, default=3, help="runs")
    parser.add_argument("--program", action="store_true", help="each phase starts a program")
    options = parser.parse_args()
    end_cleanly()
    for count in options.nodes:
        found = Found()
        floors: list[float] = []
        begin_s = time.monotonic()
        with Lab([f"n{index}" for index in range(count)], forked=True) as lab:
            up_s = time.monotonic() - begin_s
            for _ in range(options.rounds):
                floors.append(round_trips_ms(count))
                phases_ms(lab, options.repeats, found, program_too=options.program)
            loaded = load()
        aim = AIM_MS + AIM_NODE_MS * count
        gap = statistics.median(found.gaps)
        print(f"{count:3} agents, up after {up_s:.0f} s; load {loaded}; {found.aborted} goes taken back")
        print(f"    overhead {spread(found.gaps, 'ms', 1)}; aim {aim:.1f} ms: {'yes' if gap < aim else 'NO'}")
        print(f"    records {spread(found.records, 'ms', 1)}; ready {spread(found.ready, 'ms', 1)}")
        print(f"    lead {spread(found.leads, 'ms', 1)}, confirmed after {spread(found.confirms, 'ms', 1)}")
        print(f"    from t0 to the end of the phase {spread(found.lengths, 'ms', 1)}")
        for who, spent in found.spent.items():
            print(f"    processor time of {who} for each node and phase {spread(spent, 'ms', 2)}")
        if found.spent:
            cpus = len(os.sched_getaffinity(0))
            shared = count * statistics.median(found.spent["agents"]) / cpus
            print(f"    of each phase at least {shared:.1f} ms because all agents share {cpus} processors")
        print(f"    floor {spread(floors, 'ms', 2)}, overhead / floor {gap / statistics.median(floors):.1f}")


if __name__ == "__main__":
    main()

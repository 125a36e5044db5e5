#!/usr/bin/env python3
"""How fast a fetched file gets from a node into the bundle.

Floor in the same rounds: ``cat`` over the bare transport: a process that reads the file and pushes it in
frames of 256 KiB with CURVE, and one that pulls them and writes a file.  The fabric's way has a broker in
between, which stores the bytes, too, and hashes at both ends.  The time is from the phase's go to its end.
"""

import argparse
import json
import multiprocessing
import subprocess
import tempfile
import time
from pathlib import Path

import zmq
from common import Lab, program, ratio, rounds, spread

FRAME_BYTES = 256 * 1024

TRIAL = """
[trial]
name = "fetch"
[nodes]
node = "lab1"
[[collect.node]]
fetch   = "{path}"
timeout = "30m"
"""


def make_source(path: Path, size_bytes: int) -> None:
    """Write bytes that nothing can compress away."""
    block = Path("/dev/urandom").open("rb").read(1 << 20)  # noqa: SIM115 - once
    with path.open("wb") as file:
        for _ in range(size_bytes >> 20):
            file.write(block)


def _push(port: int, source: Path, server: bytes) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    public, secret = zmq.curve_keypair()
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret, server
    socket.connect(f"tcp://127.0.0.1:{port}")
    with source.open("rb", buffering=0) as file:
        while piece := file.read(FRAME_BYTES):
            socket.send(piece)
    socket.send(b"")
    socket.close()
    context.term()


def push_pull(source: Path, target: Path) -> float:
    """Return MB/s of a file over PUSH/PULL with CURVE into another file."""
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    public, secret = zmq.curve_keypair()
    socket.curve_server, socket.curve_publickey, socket.curve_secretkey = True, public, secret
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    sender = multiprocessing.Process(target=_push, args=(port, source, public))
    sender.start()
    size = 0
    begin = 0.0
    with target.open("wb", buffering=0) as file:
        while piece := socket.recv():
            begin = begin or time.perf_counter()
            size += file.write(piece)
    spent = time.perf_counter() - begin
    sender.join()
    socket.close()
    context.term()
    target.unlink()
    assert size == source.stat().st_size
    return size / spent / 1e6


def fetch(lab: Lab, source: Path, place: Path) -> float:
    """Return MB/s of a phase that fetches the file, by the instants in its events."""
    trial = place / "trial.toml"
    trial.write_text(TRIAL.format(path=source))
    with tempfile.TemporaryDirectory(dir=place) as runs:
        command = [program("fabric-run"), str(trial), "-o", runs, "--phases", "collect"]
        subprocess.run(command, env=lab.environment, check=True, stdout=subprocess.DEVNULL)
        lines = (Path(runs) / "latest" / "events.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event.get("phase") == "collect"]
    *_, begin = (event["t0"] for event in events if event["type"] == "phase_started")
    *_, end = (event["t"] for event in events if event["type"] == "phase_ended")
    return source.stat().st_size / float(end - begin) / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where the files lie: needs five times --megabytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name, Lab(place=options.dir) as lab:
        place = Path(name)
        source = place / "source"
        make_source(source, options.megabytes << 20)
        ways = {
            "PUSH/PULL": lambda: push_pull(source, place / "target"),
            "fetch": lambda: fetch(lab, source, place),
        }
        found = rounds(ways, options.rounds)
    for way, values in found.items():
        print(f"{way:10} {spread(values, 'MB/s')}")
    print(f"fetch is {ratio(found['fetch'], found['PUSH/PULL']):.2f} of PUSH/PULL")


if __name__ == "__main__":
    main()

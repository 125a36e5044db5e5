#!/usr/bin/env python3
"""How long the first line of a step takes from the program's write to a reader of fabric-tail.

Both on one machine.

Each repeat of a trial starts a program that prints its monotonic clock; the reader of `fabric-tail` compares
when it has read the line.  Floor: the same from one process to another over PUB and SUB with CURVE.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq
from common import Lab, program, ratio, spread

from fabric.keys import KeyPair
from fabric.transport import connect, make_context

STAMP = "import time; print(time.monotonic_ns(), flush=True)"
PUBLISHER = """
import sys, time, zmq
from fabric.keys import KeyPair
secret, public, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
socket = zmq.Context().socket(zmq.PUB)
socket.curve_server, socket.curve_secretkey, socket.curve_publickey = True, secret.encode(), public.encode()
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
sys.stdin.readline()
for _ in range(count):
    time.sleep(0.02)
    socket.send(b"%d" % time.monotonic_ns())
"""


def through_tail_ms(count: int, options: list[str]) -> list[float]:
    """Return the milliseconds from the print to the reader, for ``count`` steps one after the other."""
    with Lab(["lab1"]) as lab, tempfile.TemporaryDirectory() as place:
        trial = Path(place) / "stamp.toml"
        trial.write_text(
            f'[trial]\nname = "stamp"\nrepeat = {count}\n[nodes]\na = "lab1"\n'
            f"[run]\na = {{ cmd = ['{sys.executable}', '-c', '{STAMP}'] }}\n"
        )
        tail = subprocess.Popen(
            [program("fabric-tail"), "--follow-runs", *options],
            stdout=subprocess.PIPE,
            env=lab.environment,
            text=True,
        )
        run = subprocess.Popen(
            [program("fabric-run"), "-q", "-o", f"{place}/runs", str(trial)],
            env=lab.environment,
            stdout=subprocess.DEVNULL,
        )
        found: list[float] = []
        assert tail.stdout is not None
        for line in tail.stdout:
            now_ns = time.monotonic_ns()
            if "│" in line:
                found.append((now_ns - int(line.rsplit("│", 1)[1])) / 1e6)
            if "verdict" in line or len(found) == count:
                break
        run.wait()
        tail.terminate()
        tail.communicate()
    return found[1:]  # the first one may have been replayed


def raw_hop_ms(count: int) -> list[float]:
    """Return the milliseconds of one hop over PUB and SUB between two processes."""
    server, client = KeyPair.new(), KeyPair.new()
    child = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, server.secret.decode(), server.public.decode(), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    port = int(child.stdout.readline())
    context = make_context()
    socket = connect(context, zmq.SUB, f"tcp://127.0.0.1:{port}", client, server.public)
    socket.subscribe(b"")
    time.sleep(0.5)  # a PUB says nothing of its subscribers
    child.stdin.write("\n")
    child.stdin.flush()
    found = []
    while socket.poll(2000):
        stamp = socket.recv()
        found.append((time.monotonic_ns() - int(stamp)) / 1e6)
    child.wait()
    socket.close(linger=0)
    context.term()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    floor = raw_hop_ms(options.steps)
    print(f"PUB/SUB hop       {spread(floor, 'ms', 2)}, {len(floor)} messages")
    for name, extra in {"fabric-tail": [], "--merge": ["--merge"]}.items():
        found = through_tail_ms(options.steps, extra)
        print(
            f"{name:17} {spread(found, 'ms', 2)}, {len(found)} lines, {ratio(found, floor):.0f} times the hop"
        )


if __name__ == "__main__":
    main()

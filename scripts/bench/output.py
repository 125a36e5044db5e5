#!/usr/bin/env python3
"""How fast the output of one step gets to the record log and to ``fabric-tail -f``.

Floors in the same rounds: the same program through a pipe into ``cat``, and the bare transport: PUSH/PULL of
64 KiB frames with CURVE between two processes.  All rates are of the program's bytes.
"""

import argparse
import fcntl
import multiprocessing
import subprocess
import tempfile
import time
from pathlib import Path

import zmq
from common import Lab, Operator, program, ratio, rounds, spread

FRAME_BYTES = 64 * 1024
LINE = b"%012d the quick brown fox jumps over the lazy dog, and nobody knows why.\n"


def make_source(path: Path, size_bytes: int) -> None:
    """Write numbered lines."""
    assert len(LINE % 0) == 80
    with path.open("wb") as file:
        for first in range(0, size_bytes // 80, 10_000):
            file.write(b"".join(LINE % number for number in range(first, first + 10_000)))
        file.truncate(size_bytes)


def into_cat(source: Path, target: Path) -> float:
    """Return MB/s of ``cat SOURCE | cat > TARGET``."""
    begin = time.perf_counter()
    with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as program, target.open("wb") as file:
        subprocess.run(["cat"], stdin=program.stdout, stdout=file, check=True)
    spent = time.perf_counter() - begin
    if target.is_file():
        target.unlink()
    return source.stat().st_size / spent / 1e6


def _push(port: int, count: int, server: bytes) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    public, secret = zmq.curve_keypair()
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret, server
    socket.connect(f"tcp://127.0.0.1:{port}")
    frame = b"x" * FRAME_BYTES
    for _ in range(count):
        socket.send(frame)
    socket.close()
    context.term()


def push_pull(size_bytes: int) -> float:
    """Return MB/s of frames of 64 KiB with CURVE between two processes, from the first to the last."""
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    public, secret = zmq.curve_keypair()
    socket.curve_server, socket.curve_publickey, socket.curve_secretkey = True, public, secret
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    count = size_bytes // FRAME_BYTES
    pusher = multiprocessing.get_context("spawn").Process(target=_push, args=(port, count, public))
    pusher.start()
    socket.recv()
    begin = time.perf_counter()
    for _ in range(count - 1):
        socket.recv(copy=False)
    spent = time.perf_counter() - begin
    pusher.join()
    socket.close()
    context.term()
    return (count - 1) * FRAME_BYTES / spent / 1e6


def into_log(lab: Lab, source: Path) -> float:
    """Return MB/s from t0 to the acknowledgement of the last record, while nobody reads the run."""
    with Operator(lab.access) as operator:
        run = operator.open_run("lab1")
        t0_ns = operator.start(["cat", str(source)])
        log = lab.directory / "broker" / "runs" / run
        while sum(path.stat().st_size for path in log.iterdir()) < source.stat().st_size:
            operator.pause(0.02)  # costs the broker nothing
        operator.await_end_of_records()
        operator.free()
        spent_s = (time.time_ns() - t0_ns) / 1e9
        operator.close_run()
    return source.stat().st_size / spent_s / 1e6


def into_tail(lab: Lab, source: Path) -> float:
    """Return MB/s of a program's bytes from t0 until ``fabric-tail -f`` has printed the last line."""
    with Operator(lab.access) as operator:
        run = operator.open_run("lab1")
        command = [program("fabric-tail"), run, "--follow", "--quiet"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=lab.environment, bufsize=0) as tail:
            assert tail.stdout is not None
            fcntl.fcntl(tail.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
            # It follows when it has asked for the run: then it is not its start that is measured.
            operator.pause(1.0)
            t0_ns = operator.start(["cat", str(source)])
            last = (LINE % (source.stat().st_size // 80 - 1)).rstrip()
            rest = b""
            beat_s = time.monotonic()
            while last not in rest:
                if time.monotonic() - beat_s > 1:
                    operator.pause(0)
                    beat_s = time.monotonic()
                chunk = tail.stdout.read(1 << 20)
                assert chunk, f"fabric-tail ended with {tail.wait()} after {rest[-200:]!r}"
                rest = rest[-200:] + chunk
            spent_s = (time.time_ns() - t0_ns) / 1e9
            tail.terminate()
            tail.stdout.read()
        operator.free()
        operator.close_run()
    return source.stat().st_size / spent_s / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256, help="of output in one turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="where all files go")
    parser.add_argument("--only", nargs="*", default=(), help="ways to take; default: all")
    options = parser.parse_args()
    size_bytes = options.megabytes * 1_000_000 // 800_000 * 800_000
    with tempfile.TemporaryDirectory(dir=options.dir) as place, Lab(place=options.dir) as lab:
        source = Path(place) / "source"
        make_source(source, size_bytes)
        ways = {
            "cat > /dev/null": lambda: into_cat(source, Path("/dev/null")),
            "cat > file": lambda: into_cat(source, Path(place) / "floor"),
            "PUSH/PULL": lambda: push_pull(size_bytes),
            "record log": lambda: into_log(lab, source),
            "fabric-tail": lambda: into_tail(lab, source),
        }
        wanted = {name: way for name, way in ways.items() if not options.only or name in options.only}
        found = rounds(wanted, options.rounds)
    for name, rates in found.items():
        print(f"{name:16} {spread(rates, 'MB/s')}")
    for name in ("record log", "fabric-tail"):
        for floor in ("PUSH/PULL", "cat > file", "cat > /dev/null"):
            if name in found and floor in found:
                print(f"{name} / {floor}: {ratio(found[name], found[floor]):.2f}")


if __name__ == "__main__":
    main()

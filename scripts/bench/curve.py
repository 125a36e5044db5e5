"""What CURVE costs: frames from one process to another over loopback, encrypted and plain, turn about.

Absolute figures are of this machine and of how busy it is; the ratio is what is worth telling.
"""

import argparse
import multiprocessing
import statistics
import time

import zmq

SIZES = {65_536: "64 KiB", 100: "100 B"}
HWM = 1000
"""Messages in each queue, as large as the fabric's largest."""


def send(url: str, server: bytes | None, size: int, count: int) -> None:
    """Push frames; a process of its own."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        if server is not None:
            socket.curve_serverkey = server
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.sndhwm = HWM
        socket.connect(url)
        frame = bytes(size)
        for _ in range(count):
            socket.send(frame)


def frames_per_s(size: int, count: int, *, curve: bool) -> float:
    """Return how many frames arrive in a second, from the first to the last."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        public, secret = zmq.curve_keypair()
        if curve:
            socket.curve_server = True
            socket.curve_secretkey = secret
        socket.rcvhwm = HWM
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        words = (f"tcp://127.0.0.1:{port}", public if curve else None, size, count)
        sender = multiprocessing.Process(target=send, args=words)
        sender.start()
        socket.recv(copy=False)
        begun_s = time.perf_counter()
        for _ in range(count - 1):
            socket.recv(copy=False)
        took_s = time.perf_counter() - begun_s
        sender.join()
    return (count - 1) / took_s


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256, help="of 64 KiB frames; a tenth of 100 B ones")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    print(f"{'frame':>7}  {'plain':>12}  {'CURVE':>12}  {'CURVE/plain':>11}")
    for size, name in SIZES.items():
        total = options.megabytes * 1_000_000 // (1 if size > HWM else 10)
        rates: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.rounds):
            for curve in (False, True):
                rates[curve].append(frames_per_s(size, total // size, curve=curve))
        ratio = statistics.median(c / p for p, c in zip(rates[False], rates[True], strict=True))
        plain, encrypted = (statistics.median(rates[curve]) for curve in (False, True))
        print(f"{name:>7}  {plain:>10.0f}/s  {encrypted:>10.0f}/s  {ratio:>11.2f}")


if __name__ == "__main__":
    main()

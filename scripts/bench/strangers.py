"""Strangers who connect to a broker as fast as one process can, until it is ended: KIND URL ADDRESS KEY."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import zmq

from fabric.config import parse_url
from fabric.keys import OperatorAccess
from fabric.transport import raise_descriptor_limit

GREETING: Final = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".ljust(64, b"\0")

SERVER_GREETING: Final = GREETING[:32] + b"\x01" + GREETING[33:]

FIRST_COMMAND_BYTES: Final = 202

WAYS: Final = ("calm", "busy", "silent", "half", "hello", "slow", "key")

OPEN: Final = 1500
"""Connections that a flooder holds, each a port of this machine; the oldest makes place for the next one."""

RESET: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: the port is free as soon as the connection is closed."""

SLOW: Final = 1200

KEYS_AT_ONCE: Final = 200


def flood(kind: str, url: str, address: str, server: bytes) -> None:
    """Let strangers come until this process is ended, and tell how many have come."""
    raise_descriptor_limit(1 << 16)
    place = parse_url(url)
    if kind == "busy":
        tell(0)
        while True:
            pass
    if kind == "key":
        flood_with_keys(place.host, place.port, server, address)
    elif kind == "slow":
        flood_slowly(place.host, place.port, address)
    else:
        words = {"silent": b"", "half": GREETING, "hello": GREETING + first_command(server)}
        flood_with(words[kind], place.host, place.port, address)


def tell(count: int) -> None:
    """Let the parent know how many have come."""
    print(count, flush=True)


def connections(host: str, port: int, address: str) -> Iterator[socket.socket]:
    """Yield connections that were begun, to the four ports in turn; what fails at once is left out."""
    number = 0
    while True:
        line = socket.socket()
        line.setblocking(False)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        line.bind((address, 0))
        try:
            line.connect((host, port + number % 4))
        except BlockingIOError:
            pass
        except OSError:
            line.close()
            continue
        number += 1
        if number % 500 == 0:
            tell(number)
        yield line


def flood_with(words: bytes, host: str, port: int, address: str) -> None:
    """Connect, say these words, and wait to be hung up on."""
    lines: list[socket.socket] = []
    fresh: list[socket.socket] = []
    for line in connections(host, port, address):
        fresh.append(line)
        if len(fresh) < 50:  # by then the first of them stands
            continue
        for one in fresh:
            with suppress(OSError):  # hung up on already
                one.send(words)
        lines += fresh
        fresh.clear()
        while len(lines) > OPEN:
            lines.pop(0).close()


def flood_slowly(host: str, port: int, address: str) -> None:
    """Say a byte a second on each of many connections; who is hung up on comes again."""
    coming = connections(host, port, address)
    lines = {next(coming): 0 for _ in range(SLOW)}
    while True:
        time.sleep(1.0)
        for line, said in list(lines.items()):
            try:
                line.send(GREETING[said % 64 : said % 64 + 1])
                lines[line] = said + 1
                if line.recv(4096, socket.MSG_DONTWAIT):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            del lines[line]
            line.close()
            lines[next(coming)] = 0


def flood_with_keys(host: str, port: int, server: bytes, address: str) -> None:
    """Shake hands, each time with another key."""
    context: zmq.Context[Any] = zmq.Context()
    count = 0
    while True:
        sockets = []
        for _ in range(KEYS_AT_ONCE):
            one = context.socket(zmq.DEALER)
            one.curve_serverkey = server
            one.curve_publickey, one.curve_secretkey = zmq.curve_keypair()
            one.immediate = 1
            one.connect(f"tcp://{address}:0;{host}:{port}")
            sockets.append(one)
        for one in sockets:
            one.poll(1000, zmq.POLLOUT)  # the handshake is over
            one.close(linger=0)
        count += KEYS_AT_ONCE
        tell(count)


def first_command(server: bytes) -> bytes:
    """Return what a client of ZeroMQ says behind its greeting to who has this key."""
    with zmq.Context() as context, socket.create_server(("127.0.0.1", 0)) as listener:
        client = context.socket(zmq.DEALER)
        client.linger = 0
        client.curve_serverkey = server
        client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
        client.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        line, _ = listener.accept()
        line.sendall(SERVER_GREETING)
        said = b""
        while len(said) < len(GREETING) + FIRST_COMMAND_BYTES:
            said += line.recv(4096)
        line.close()
        client.close()
        return said[len(GREETING) :]


@contextmanager
def flooding(way: str, access: OperatorAccess, address: str) -> Iterator[Callable[[], int]]:
    """Let strangers come meanwhile; give what returns how many have, from the first ones on."""
    if way == "calm":
        yield lambda: 0
        return
    words = (way, access.url, address, access.broker_public.decode("ascii"))
    with (
        tempfile.TemporaryFile() as told,
        subprocess.Popen([sys.executable, __file__, *words], stdout=told) as process,
    ):

        def count() -> int:
            lines = os.pread(told.fileno(), 1 << 20, 0).split()
            return int(lines[-1]) if lines else -1

        try:
            while count() < 0 and process.poll() is None:
                time.sleep(0.05)
            yield count
        finally:
            process.kill()


if __name__ == "__main__":
    kind_, url_, address_, key_ = sys.argv[1:]
    flood(kind_, url_, address_, key_.encode("ascii"))

"""Readers that stand still: neither end may suffer from the other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import zmq

from broker.gate import Gate
from broker.zap import ZapHandler
from fabric.keys import KeyPair
from fabric.transport import bound_port, connect, listen, options, receive_now, send_now
from tests.integration import slow_reader, slow_sink

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 20.0
READER = """
import json, sys, zmq
from fabric.keys import KeyPair
from fabric.transport import connect, make_context
said = json.loads(sys.stdin.readline())
keys = KeyPair(bytes.fromhex(said["public"]), bytes.fromhex(said["secret"]))
socket = connect(make_context(), zmq.SUB, said["url"], keys, bytes.fromhex(said["broker"]))
socket.subscribe(b"run/")
sys.stdin.read()
"""


def alone(program: ModuleType, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests in a process that may abort."""
    argv = [sys.executable, "-m", program.__name__, *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_reader_that_pauses_with_a_full_queue_lives_and_reads_on() -> None:
    """ZeroMQ 4.3.5 aborts a process that connects again while its queue is full, as soon as it reads on."""
    done = alone(slow_reader)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[1]) >= options.FEED_READ_HWM


@pytest.mark.parametrize("domain", slow_sink.KINDS)
def test_a_broker_outlives_a_peer_that_dies_while_its_queue_is_full(domain: str) -> None:
    """ZeroMQ 4.3.5 aborts who beats on a connection that failed behind a full queue."""
    done = alone(slow_sink, domain)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("read ")


def test_an_agent_keeps_its_connection_to_a_sink_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many print, each waits for long: a connection that ends for it has to send all of it again."""
    monkeypatch.setattr(options, "listening", slow_reader.hastened(options.listening))
    monkeypatch.setattr(options, "connecting", slow_reader.hastened(options.connecting))
    broker, node = KeyPair.new(), KeyPair.new()
    gate = Gate()
    gate.add(node.public, "node", "n1")
    contexts: list[zmq.Context[zmq.Socket[bytes]]] = [zmq.Context(), zmq.Context()]
    zap = ZapHandler(contexts[0], gate)
    sink = listen(contexts[0], zmq.PULL, "tcp://127.0.0.1:0", broker, "sink")
    agent = connect(contexts[1], zmq.PUSH, f"tcp://127.0.0.1:{bound_port(sink)}", node, broker.public)
    try:
        sent = slow_sink.fill(agent, zap)
        time.sleep(slow_reader.PAUSE_S)  # heartbeats, if there were any, would not be answered
        is_last_sent, got, last = False, 0, b""
        until = time.monotonic() + WITHIN_S
        while last != b"last":
            assert time.monotonic() < until, f"{got} of {sent}"
            is_last_sent = is_last_sent or send_now(agent, [b"last"])
            zap.serve_for(0.002)
            for received in receive_now(sink, 100):
                got, last = got + 1, bytes(received.frames[0])
        assert got == sent + 1
    finally:
        zap.close()
        for context in contexts:
            context.destroy(linger=0)


def test_a_broker_lets_a_reader_go_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for one that stands still, or whose network is gone, must not wait for ever."""
    monkeypatch.setattr(options, "listening", slow_reader.hastened(options.listening))
    broker, operator = KeyPair.new(), KeyPair.new()
    gate = Gate()
    gate.add(operator.public, "operator", "me")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    zap = ZapHandler(context, gate)
    feed = listen(context, zmq.XPUB, "tcp://127.0.0.1:0", broker, "feed")

    def hear() -> bytes:
        end = time.monotonic() + WITHIN_S
        while not (came := list(receive_now(feed, 1))):
            zap.serve_for(0.01)
            assert time.monotonic() < end, "heard nothing"
        return bytes(came[0].frames[0])

    reader = subprocess.Popen([sys.executable, "-c", READER], stdin=subprocess.PIPE)
    try:
        assert reader.stdin is not None
        said = {
            "url": f"tcp://127.0.0.1:{bound_port(feed)}",
            "public": operator.public.hex(),
            "secret": operator.secret.hex(),
            "broker": broker.public.hex(),
        }
        reader.stdin.write(json.dumps(said).encode() + b"\n")
        reader.stdin.flush()
        assert hear() == b"\1run/"
        os.kill(reader.pid, signal.SIGSTOP)
        assert hear() == b"\0run/"  # the last subscriber has gone, and its queue with it
    finally:
        reader.kill()
        reader.communicate()
        zap.close()
        context.destroy(linger=0)

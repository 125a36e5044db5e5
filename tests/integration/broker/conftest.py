"""A lab for each test; a broker or socket that is left over fails it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from fabric.transport.sockets import Context
from tests.integration.broker.peers import BrokerProcess, Lab


@pytest.fixture
def start_broker() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start brokers as a user does; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, fds: tuple[int, ...] = (), **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "broker", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
            env={**os.environ, **variables},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    broker = BrokerProcess(tmp_path)
    broker.start()
    context: Context = zmq.Context()
    made = Lab(broker, context)
    yield made
    for peer in made.peers:
        peer.close()
    context.term()
    if broker.process is not None:
        assert broker.end(signal.SIGTERM) == 0

#!/usr/bin/env python3
"""Many agents in one process, as far as a broker sees them: each with a session, a key and sockets.

It has no launcher, no journal and no state, so a thousand of them fit a machine.  One line of JSON on stdin
says where they go; whenever all of them are connected to another life of the broker, a line of stdout tells
its epoch and the instant on the monotonic clock, at which the last one was let in.
"""

import json
import random
import signal
import sys
import time
from typing import Any

from agents import session as ss
from agents.facts import addresses, facts
from agents.sockets import Sockets
from agents.timekeeping import Timekeeping
from fabric import __version__
from fabric.clock import MonotonicClock
from fabric.config import Address, parse_url
from fabric.keys import AgentIdentity, JoinToken, KeyPair
from fabric.loop import Loop
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import AgentHello, Beat, Message, Probe
from fabric.transport import raise_descriptor_limit

PAUSE_S = 0.005
"""Between two turns: one loop asks all sockets of all agents, and would do nothing else."""


class Idler:
    """An agent that is there, and no more."""

    def __init__(
        self, loop: Loop, clock: MonotonicClock, broker: Address, token: JoinToken, name: str
    ) -> None:
        self._clock = clock
        self._identity = AgentIdentity(
            url=str(broker), name=name, keys=KeyPair.new(), broker_public=token.broker_public
        )
        self._hello = AgentHello(
            protocol=PROTOCOL_VERSION,
            software=__version__,
            name=name,
            instance=name,
            incarnation=1,
            labels=(),
            addresses=addresses({}, broker.host, broker.port),
            facts=facts(),
            journals=(),
            runs=(),
        )
        self._sockets = Sockets(loop, broker, clock, self._heard, self._writable)
        self._session = ss.Session(name, token.secret, random.random, clock.now_ns())
        self._time = Timekeeping(self._session, clock)
        self._unsaid: Message | None = None

    @property
    def epoch(self) -> int:
        """The life of the broker to which it is connected; 0: none."""
        return self._session.epoch if self._session.state == "up" else 0

    @property
    def deadline_ns(self) -> int:
        """When to call `expire`."""
        return self._session.deadline_ns

    def expire(self, now_ns: int) -> None:
        """Do what is due."""
        self._do(self._session.expire(now_ns))

    def _heard(self, message: Message, now_ns: int) -> None:
        self._do(self._session.receive(message, now_ns))

    def _writable(self) -> None:
        message, self._unsaid = self._unsaid, None
        if message is not None:
            self._say(message)

    def _say(self, message: Message) -> None:
        if self._sockets.say(message):
            self._session.hello_sent()
        elif self._session.state == "joining":
            self._unsaid = message

    def _beat(self) -> None:
        if not self._sockets.say(Beat(clock=self._time.told())):
            self._do(self._session.unsent(self._clock.now_ns()))

    def _do(self, effects: list[ss.SessionEffect]) -> None:
        for effect in effects:
            match effect:
                case ss.Connect():
                    self._sockets.connect(self._identity)
                case ss.Disconnect():
                    self._unsaid = None
                    self._sockets.disconnect()
                case ss.Say(message):
                    self._say(message)
                case ss.SayHello():
                    self._say(self._hello)
                case ss.SayBeat():
                    self._beat()
                case ss.AskTime():
                    self._sockets.say(Probe(t1_ns=self._clock.now_ns()))
                case ss.OpenStreams(welcome):
                    self._sockets.open_streams(welcome)
                case ss.GiveUp(sentence):
                    raise SystemExit(sentence)
                case _:
                    pass  # it has nothing to do at an instant


def serve(told: dict[str, Any]) -> None:
    """Be all of them, until the process is ended."""
    clock = MonotonicClock()
    loop = Loop(clock)
    broker, token = parse_url(told["url"]), JoinToken.parse(told["join"])
    herd = [Idler(loop, clock, broker, token, name) for name in told["names"]]
    known = 0
    while True:
        now_ns = loop.turn(min(one.deadline_ns for one in herd))
        for one in herd:
            if now_ns >= one.deadline_ns:
                one.expire(now_ns)
        epochs = {one.epoch for one in herd}
        if len(epochs) == 1 and not epochs & {0, known}:
            (known,) = epochs
            print(json.dumps([known, time.monotonic()]), flush=True)
        time.sleep(PAUSE_S)


def main() -> None:
    """Serve as told."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise_descriptor_limit(1 << 16)
    serve(json.loads(sys.stdin.readline()))


if __name__ == "__main__":
    main()

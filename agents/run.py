"""From the command line to a serving agent."""

import os
import shutil
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents.identity import Identity
from agents.launching import Arming, Patience
from agents.node import Node
from agents.state import AgentState
from fabric import config
from fabric.errors import UsageError
from fabric.keys import JoinToken
from fabric.log import level_for, set_up
from fabric.protocol.names import NODE, WORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``fabric-agent`` was told."""

    url: str
    join: str | None
    name: str | None
    labels: tuple[str, ...]
    addresses: tuple[str, ...]
    state_dir: Path | None
    lifeline_fd: int | None = None
    ephemeral: bool = False
    verbosity: int = 0
    patience: Patience
    arming: Arming = field(default_factory=Arming)


def run_agent(options: Options) -> None:
    """Serve until a signal, or the end of the lifeline.

    Raises:
        FabricError: If an option, the state directory or the key is wrong, or the broker refuses.
    """
    set_up(level_for(options.verbosity))
    options = _told_later(options)
    broker = config.parse_url(options.url)
    name = _checked_name(options.name or socket.gethostname().split(".")[0])
    labels = tuple(_checked_word(label, "label") for label in options.labels)
    announced = dict(_address(text) for text in options.addresses)
    token = JoinToken.parse(options.join) if options.join else None
    state = AgentState.lock((options.state_dir or config.state_dir(f"agent-{name}")).absolute())
    try:
        identity = Identity(state.directory, name, broker, token)
        node = Node(
            state,
            identity,
            broker,
            labels=labels,
            announced=announced,
            patience=options.patience,
            arming=options.arming,
        )
        _listen_for_the_end(node, options.lifeline_fd)
        node.serve()
    finally:
        if options.ephemeral:
            shutil.rmtree(state.directory, ignore_errors=True)
            with suppress(OSError):
                state.directory.parent.rmdir()  # if nobody else is left in it


def _told_later(options: Options) -> Options:
    """Read URL and token from a descriptor if the URL is ``fd:N``: a private broker has them when it serves.

    Raises:
        UsageError: If it ends without them.
    """
    if not options.url.startswith("fd:"):
        return options
    with os.fdopen(int(options.url.removeprefix("fd:")), encoding="ascii") as pipe:
        words = pipe.readline().split()
    if len(words) != 2:  # noqa: PLR2004
        raise UsageError("the process that started this agent has not told it of a broker")
    return replace(options, url=words[0], join=words[1])


def _listen_for_the_end(node: Node, lifeline_fd: int | None) -> None:
    signals = (signal.SIGTERM, signal.SIGINT)
    node.loop.on_signals(signals, lambda number: node.stop(signal.Signals(number).name))
    if lifeline_fd is None:
        return

    def lifeline(_: int) -> None:
        if not os.read(lifeline_fd, 1):
            node.loop.remove(lifeline_fd)
            node.stop("the process that started it has ended")

    os.set_inheritable(lifeline_fd, False)
    node.loop.add(lifeline_fd, lifeline)


def _checked_name(name: str) -> str:
    if not NODE.fullmatch(name):
        raise UsageError(
            f"{name!r:.80} cannot be a node's name",
            hint="letters, digits, `.`, `_` and `-`; give one with --name",
        )
    return name


def _checked_word(word: str, what: str) -> str:
    if not WORD.fullmatch(word):
        raise UsageError(f"{word!r:.80} cannot be a {what}", hint="letters, digits, `.`, `_` and `-`")
    return word


def _address(text: str) -> tuple[str, str]:
    network, equals, address = text.partition("=")
    if not equals or not address:
        raise UsageError(f"--addr {text!r:.80}: expected NAME=ADDRESS", hint="like --addr test=10.1.0.5")
    return _checked_word(network, "network's name") if network else "", address

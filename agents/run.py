"""From the command line to a serving agent."""

import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

from agents.identity import Identity
from agents.launching import Arming, Patience
from agents.node import Node
from agents.settings import checked_label, checked_name, read_address
from agents.state import AgentState
from fabric import config
from fabric.keys import JoinToken
from fabric.notify import Notifier, tell_where_it_hangs
from fabric.transport import check_descriptor_limit
from fabric.trees import remove_tree


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
    patience: Patience
    arming: Arming = field(default_factory=Arming)


class Told(NamedTuple):
    """What is meant by the options."""

    broker: config.Address
    name: str
    labels: tuple[str, ...]
    announced: dict[str, str]
    token: JoinToken | None


def understood(options: Options) -> Told:
    """Return what is meant by options, which need nothing of this machine for it.

    Raises:
        UsageError: If one of them is wrong.
    """
    return Told(
        broker=config.parse_url(options.url),
        name=name_of(options.name),
        labels=tuple(checked_label(label) for label in options.labels),
        announced=dict(read_address(text) for text in options.addresses),
        token=JoinToken.parse(options.join) if options.join else None,
    )


def run_agent(options: Options) -> None:
    """Serve until a signal, or the end of the lifeline.

    SIGHUP begins again with the program that is installed now, in this very process: so a supervisor does not
    notice it, and the launcher stays a child.  Steps go on meanwhile, see `agents.inheriting`.

    Raises:
        FabricError: If an option, the state directory or the key is wrong, or the broker refuses.
    """
    check_descriptor_limit()
    told = understood(options)
    state = AgentState.lock(directory_of(options.state_dir, told.name))
    try:
        identity = Identity(state.directory, told.name, told.broker, told.token)
        node = Node(
            state,
            identity,
            told.broker,
            labels=told.labels,
            announced=told.announced,
            patience=options.patience,
            arming=options.arming,
        )
        if (notifier := Notifier.find(lambda: node.status)) is not None:
            tell_where_it_hangs()
        _listen_for_the_end(node, notifier, options.lifeline_fd, can_begin_again=not options.ephemeral)
        node.serve()
        if node.hands_over:
            _begin_again(notifier, options.lifeline_fd)
    finally:
        if options.ephemeral:
            remove_tree(state.directory)
            with suppress(OSError):
                state.directory.parent.rmdir()  # if nobody else is left in it


def name_of(said: str | None) -> str:
    """Return the node's name: what was said, or the host's.

    Raises:
        UsageError: If it cannot be one.
    """
    return checked_name(said or socket.gethostname().split(".")[0])


def directory_of(said: Path | None, name: str) -> Path:
    """Return the state directory: what was said, or the usual one of a node of this name."""
    return (said or config.state_dir(f"agent-{name}")).absolute()


def _begin_again(notifier: Notifier | None, lifeline_fd: int | None) -> NoReturn:
    """Become the program that is installed now, called with the same words."""
    if lifeline_fd is not None:
        os.set_inheritable(lifeline_fd, True)
    environment = os.environ | (notifier.handed_on if notifier is not None else {})
    words = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, words, environment)  # noqa: S606 - the very words of this process


def _listen_for_the_end(
    node: Node, notifier: Notifier | None, lifeline_fd: int | None, *, can_begin_again: bool
) -> None:
    def stop(number: int) -> None:
        hands_over = can_begin_again and number == signal.SIGHUP
        if notifier is not None and not hands_over:
            notifier.stopping()
        node.stop(signal.Signals(number).name, hands_over=hands_over)

    node.loop.on_signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), stop)
    if notifier is not None:
        node.loop.on_turn(notifier.turned)
    if lifeline_fd is None:
        return

    def lifeline(_: int) -> None:
        if not os.read(lifeline_fd, 1):
            node.loop.remove(lifeline_fd)
            node.stop("the process that started it has ended")

    os.set_inheritable(lifeline_fd, False)
    node.loop.add(lifeline_fd, lifeline)

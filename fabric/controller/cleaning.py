"""Has dirty nodes cleaned, all of them at the same time."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from fabric.controller.connection import REPEAT_NS, Connection
from fabric.controller.entry import Entry
from fabric.protocol.messages import Clean, Denied, Done, Message, Welcome

WITHIN_S: Final = 600.0
"""A reset has its own limits; a person wants to know sooner."""


@dataclass(slots=True)
class _Waiting:
    """Repeats the questions that have no answer yet."""

    questions: dict[int, Clean]
    tell: Callable[[str, str], None]
    wait: Callable[[str], None]
    told: set[str] = field(default_factory=set)
    repeat_ns: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def on_up(self, welcome: Welcome, now_ns: int) -> None:
        self.repeat_ns = 0

    def on_down(self, sentence: str, now_ns: int) -> None:
        """What is not answered is asked again."""

    def on_entry(self, entry: Entry, now_ns: int) -> None:
        """No run is read here."""

    def on_message(self, message: Message, now_ns: int) -> None:
        if isinstance(message, Denied) and message.code == "expected":
            if message.sentence not in self.told:  # it is asked again until the broker says more
                self.told.add(message.sentence)
                self.wait(message.sentence)
        elif isinstance(message, Done | Denied):
            question = self.questions.pop(message.request, None)
            if question is not None:
                self.over(question.node, message.sentence if isinstance(message, Denied) else "")

    def over(self, node: str, why: str) -> None:
        if why:
            self.failed[node] = why
        self.tell(node, why)


def clean(
    connection: Connection,
    nodes: Iterable[str],
    *,
    force: bool,
    tell: Callable[[str, str], None],
    wait: Callable[[str], None],
    within_s: float = WITHIN_S,
) -> dict[str, str]:
    """Do the resets again that dirty nodes owe, or forget them.

    Args:
        connection: To the broker.
        nodes: Their names.
        force: Forget what is owed, for a person has cleaned up.
        tell: Called with each node when it is done with, and why it is dirty still, "" if it is not.
        wait: Called with what is waited for: nodes that are not back since the broker's start.
        within_s: How long to wait for all.

    Returns:
        The nodes that are still dirty, and why.

    Raises:
        ConnectionRefused: If the broker is away for too long.
    """
    asked = [
        Clean(request=next(connection.numbers), node=node, clean=secrets.token_hex(8), force=force)
        for node in nodes
    ]
    waiting = _Waiting({question.request: question for question in asked}, tell, wait)
    limit_ns = connection.now_ns() + round(within_s * 1e9)
    connection.attach(waiting)
    try:
        while waiting.questions and (now_ns := connection.now_ns()) < limit_ns:
            if now_ns >= waiting.repeat_ns:
                waiting.repeat_ns = now_ns + REPEAT_NS
                for question in waiting.questions.values():
                    connection.send(question)
            connection.turn(min(waiting.repeat_ns, limit_ns))
    finally:
        connection.attach(None)
    for question in waiting.questions.values():
        waiting.over(
            question.node, f"no answer for {within_s:g} s; if its reset goes on, it tells the broker"
        )
    return waiting.failed

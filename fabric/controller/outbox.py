"""PURE.  Messages that want an answer, said again until it comes.

The network loses messages, and a restarted broker forgets them; every message here may be repeated.
"""

from collections.abc import Hashable
from itertools import takewhile
from typing import Final

from fabric.protocol.messages import Message

REPEAT_NS: Final = 1_000_000_000
"""An unanswered message is said again after this."""


class Outbox:
    """What was asked and not answered, by a key of the caller's."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, tuple[Message, int]] = {}  # what is due first, first

    def ask(self, key: Hashable, message: Message, now_ns: int) -> list[Message]:
        """Note a message and return it for sending."""
        self._waiting.pop(key, None)
        self._waiting[key] = (message, now_ns + REPEAT_NS)
        return [message]

    def answered(self, key: Hashable) -> bool:
        """Stop repeating; say whether the answer was awaited."""
        return self._waiting.pop(key, None) is not None

    def awaits(self, key: Hashable) -> bool:
        """Say whether an answer is awaited."""
        return key in self._waiting

    def clear(self) -> None:
        """Stop repeating anything."""
        self._waiting.clear()

    @property
    def deadline_ns(self) -> int | None:
        """When the next repetition is due."""
        return next((due_ns for _, due_ns in self._waiting.values()), None)

    def expire(self, now_ns: int) -> list[Message]:
        """Return what is due for repetition."""
        due = takewhile(lambda item: now_ns >= item[1][1], self._waiting.items())
        return [self.ask(key, message, now_ns)[0] for key, (message, _) in list(due)]

    def repeat_all(self, now_ns: int) -> list[Message]:
        """Return everything unanswered: the connection is new."""
        self._waiting = {key: (message, now_ns + REPEAT_NS) for key, (message, _) in self._waiting.items()}
        return [message for message, _ in self._waiting.values()]

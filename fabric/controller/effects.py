"""What the Run asks its shell to do."""

from dataclasses import dataclass

from fabric.protocol.messages import Message
from fabric.protocol.records import Record


@dataclass(frozen=True, slots=True)
class Tell:
    """Send to the broker; lost if there is no connection."""

    message: Message


@dataclass(frozen=True, slots=True)
class Note:
    """Append to the run's own records."""

    record: Record


@dataclass(frozen=True, slots=True)
class Over:
    """The run is over and its verdict stands."""


Effect = Tell | Note | Over

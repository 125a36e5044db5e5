"""Records on their way to the store."""

from dataclasses import dataclass
from typing import ClassVar

from fabric.protocol.numbers import Count
from fabric.protocol.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Agent to sink: consecutive records of one journal.  A second frame holds the bytes that they bring."""

    kind: ClassVar[str] = "batch"

    run: str
    incarnation: Count
    first: Count  # number of the first record; the first one of a journal is 1
    gone: Count = 0  # up to this number the agent has nothing any more, for it was told that all is stored
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Controller to broker: records of the run itself, as `Batch`, without output.

    One without records says that the run is led, and where its journal stands: first on a new connection.
    """

    kind: ClassVar[str] = "append"

    run: str
    incarnation: Count
    first: Count
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Broker to source: records up to ``number`` of this journal are stored for good."""

    kind: ClassVar[str] = "acknowledged"

    run: str
    incarnation: Count
    number: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Broker to source: records from ``number`` on are missing."""

    kind: ClassVar[str] = "resend"

    run: str
    incarnation: Count
    number: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Broker to agent: this run is not in the catalogue, so its journal can go nowhere."""

    kind: ClassVar[str] = "forget"

    run: str
    incarnation: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHead:
    """First frame of an entry of the record log and of the feed; its `Batch` and the bytes follow.

    The batch's records have the run's numbers ``number``, ``number + 1``, ...
    """

    kind: ClassVar[str] = "entry"

    number: Count
    count: Count
    node: str  # "" for the controller
    incarnation: Count
    first: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon:
    """Broker to feed: the run's last number, so that a reader sees a gap in a quiet run."""

    kind: ClassVar[str] = "beacon"

    run: str
    number: Count
    open: bool


StoringMessage = Batch | Append | Acknowledged | Resend | Forget | EntryHead | Beacon

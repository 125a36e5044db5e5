"""What the records of a journal say about streams and steps, in the small.

The ledger survives the deletion of acknowledged segments, for each new segment begins with a copy of it.  So
the next life knows where each stream stood and which steps it has to report as lost.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from fabric.errors import StoreError
from fabric.protocol.records import (
    FileBegun,
    FileChunk,
    FileEnded,
    Output,
    OutputDropped,
    Record,
    StepFinished,
    StepStarted,
)

_FILE: Final = "file"


class StreamKey(NamedTuple):
    """One stream of one attempt at a step."""

    step: str
    attempt: int
    stream: str  # stdout, stderr, or file1, file2 ...: a file that it fetches

    @classmethod
    def of_file(cls, step: str, attempt: int, file: int) -> Self:
        """Return the key of a file that a step fetches."""
        return cls(step, attempt, f"{_FILE}{file}")

    @property
    def file(self) -> int:
        """Number of the fetched file; 0: it is output."""
        return int(self.stream.removeprefix(_FILE)) if self.stream.startswith(_FILE) else 0


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far the records of a stream have come."""

    end: int  # bytes
    ended: bool = False  # the mark of its end is in the journal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStep:
    """A step that has begun according to the journal and has not finished."""

    step: str
    attempt: int
    started_ns: int  # fabric time
    stdout: StreamState
    stderr: StreamState
    files: tuple[tuple[int, StreamState], ...] = ()  # that were begun and not ended


class Ledger:
    """Follows the records of one journal.  Memory: by the number of steps that have not finished."""

    def __init__(self) -> None:
        self.streams: dict[StreamKey, StreamState] = {}
        self._started_ns: dict[tuple[str, int], int] = {}

    def note(self, record: Record) -> None:
        """Take a record that is appended."""
        match record:
            case Output():
                key = StreamKey(record.step, record.attempt, record.stream)
                self.streams[key] = StreamState(record.offset + record.size, ended=not record.size)
            case OutputDropped():
                key = StreamKey(record.step, record.attempt, record.stream)
                self.streams[key] = StreamState(record.offset + record.size)
            case FileBegun():
                self.streams[StreamKey.of_file(record.step, record.attempt, record.file)] = StreamState(0)
            case FileChunk():
                key = StreamKey.of_file(record.step, record.attempt, record.file)
                self.streams[key] = StreamState(record.offset + record.size)
            case FileEnded():
                self.streams.pop(StreamKey.of_file(record.step, record.attempt, record.file), None)
            case StepStarted():
                self._started_ns[record.step, record.attempt] = record.t_ns
            case StepFinished():
                self._started_ns.pop((record.step, record.attempt), None)
                self.streams.pop(StreamKey(record.step, record.attempt, "stdout"), None)
                self.streams.pop(StreamKey(record.step, record.attempt, "stderr"), None)
            case _:
                pass

    def open_steps(self) -> tuple[OpenStep, ...]:
        """Return the steps that have begun and not finished, in the order of their start."""
        return tuple(
            OpenStep(
                step=step,
                attempt=attempt,
                started_ns=started_ns,
                stdout=self.streams.get(StreamKey(step, attempt, "stdout"), StreamState(0)),
                stderr=self.streams.get(StreamKey(step, attempt, "stderr"), StreamState(0)),
                files=self._files_of(step, attempt),
            )
            for (step, attempt), started_ns in self._started_ns.items()
        )

    def _files_of(self, step: str, attempt: int) -> tuple[tuple[int, StreamState], ...]:
        return tuple(
            (key.file, state)
            for key, state in self.streams.items()
            if key[:2] == (step, attempt) and key.file
        )

    def dump(self) -> dict[str, Any]:
        """Return it as plain JSON values, for `load`."""
        return {
            "streams": [[*key, state.end, state.ended] for key, state in self.streams.items()],
            "started": [[*key, t_ns] for key, t_ns in self._started_ns.items()],
        }

    @classmethod
    def load(cls, raw: dict[str, Any]) -> "Ledger":
        """Return what `dump` wrote."""
        ledger = cls()
        for step, attempt, stream, end, ended in raw["streams"]:
            ledger.streams[StreamKey(step, attempt, stream)] = StreamState(end, ended)
        for step, attempt, t_ns in raw["started"]:
            ledger._started_ns[step, attempt] = t_ns
        return ledger


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """First frame of a segment: the number of its first record, and the ledger up to there."""

    first: int
    ledger: Ledger

    def encode(self) -> bytes:
        """Return the body of the frame."""
        return json.dumps({"first": self.first, **self.ledger.dump()}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes) -> "Checkpoint":
        """Read what `encode` wrote.

        Raises:
            StoreError: If it is anything else, though its checksum was right.
        """
        try:
            raw = json.loads(body)
            return cls(int(raw["first"]), Ledger.load(raw))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"journal: a segment's first frame is no checkpoint: {error}") from None

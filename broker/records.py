"""What a batch of records must be before it is stored."""

from functools import lru_cache
from typing import Final, get_args

from fabric.errors import DecodeError
from fabric.protocol.limits import BATCH_RECORDS
from fabric.protocol.messages import Append, Batch
from fabric.protocol.names import CONTROLLER, RUN, StepId
from fabric.protocol.records import (
    FileBegun,
    FileChunk,
    FileEnded,
    FileMissing,
    Metric,
    MetricMissing,
    Notice,
    Output,
    OutputDropped,
    PhaseAborted,
    PhaseEnded,
    PhaseStarted,
    Record,
    RepeatEnded,
    RepeatStarted,
    RunEnded,
    RunStarted,
    StepFinished,
    StepReady,
    StepSkipped,
    StepStarted,
    payload_size,
)

_OF_RUN: Final = (
    *(RunStarted, RepeatStarted, RepeatEnded, Metric, MetricMissing),
    *(PhaseStarted, PhaseAborted, PhaseEnded, RunEnded),
)
_OF_STEP: Final = (
    *(StepStarted, StepReady, StepFinished, StepSkipped, FileBegun, FileEnded, FileMissing),
    *(Output, OutputDropped, FileChunk, Metric, MetricMissing),
)
INDEXED: Final = (PhaseStarted, PhaseEnded, StepFinished)

assert {*_OF_RUN, *_OF_STEP} <= {*get_args(Record)}


def check(source: str, batch: Batch | Append, payload_bytes: int) -> None:
    """Check what the codec cannot: that the parts fit each other and belong to their source.

    Raises:
        DecodeError: If the batch is wrong; nothing of it may be stored.
    """
    if RUN.fullmatch(batch.run) is None:
        raise DecodeError(f"{batch.kind}.run: expected the id of a run, got {batch.run!r:.80}")
    if batch.first < 1 or batch.incarnation < 1:
        raise DecodeError(f"{batch.kind}: numbers begin at 1, got {batch.first}, {batch.incarnation}")
    if isinstance(batch, Batch) and not 0 <= batch.gone < batch.first:
        raise DecodeError(f"{batch.kind}.gone: expected a number below {batch.first}, got {batch.gone}")
    of_controller = source == CONTROLLER
    fewest = 0 if of_controller else 1  # see `Append`
    if not fewest <= len(batch.records) <= BATCH_RECORDS:
        said = f"expected {fewest} to {BATCH_RECORDS}, got {len(batch.records)}"
        raise DecodeError(f"{batch.kind}.records: {said}")
    for record in batch.records:
        _check_record(record, of_controller)
    announced = sum(map(payload_size, batch.records))
    if announced != payload_bytes:
        raise DecodeError(f"{batch.kind}: {announced} bytes announced, {payload_bytes} came")


def check_incarnation(message: Append, epoch: int) -> None:
    """Check that a controller's journal is not one of the broker's, whose incarnations are its epochs.

    Raises:
        DecodeError: If it is.
    """
    if message.incarnation <= epoch:
        raise DecodeError(f"append.incarnation: {message.incarnation} is one of the broker's own")


def _check_record(record: Record, of_controller: bool) -> None:
    if isinstance(record, _OF_STEP):
        _check_step(record.step)
    if isinstance(record, Notice):
        return  # anybody may say something
    if isinstance(record, _OF_RUN) is not of_controller:
        raise DecodeError(f"{record.kind}: not a record of a {'controller' if of_controller else 'node'}")


@lru_cache(maxsize=4096)
def _check_step(step: str) -> None:
    """Check a step's id; a step prints many records, so the answer is kept."""
    StepId.parse(step)

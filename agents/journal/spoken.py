"""The records that speak of bytes of a stream."""

from typing import Final, cast

from agents.journal.ledger import StreamKey
from fabric.protocol.records import FileChunk, Output, OutputDropped, Stream

LOST_TAIL: Final = "the disk of the node was full while its agent was gone"


def kept(key: StreamKey, offset: int, size: int, t_ns: int, bound_ns: int) -> Output | FileChunk:
    """Return the record of bytes that are in the spool; of output, size 0 marks its end."""
    if key.file:
        return FileChunk(
            t_ns=t_ns,
            bound_ns=bound_ns,
            step=key.step,
            attempt=key.attempt,
            file=key.file,
            offset=offset,
            size=size,
        )
    return Output(
        t_ns=t_ns,
        bound_ns=bound_ns,
        step=key.step,
        attempt=key.attempt,
        stream=cast("Stream", key.stream),
        offset=offset,
        size=size,
    )


def dropped(key: StreamKey, offset: int, size: int, why: str, stamp: tuple[int, int]) -> OutputDropped:
    """Return the record of output that was thrown away; ``stamp`` is fabric time and its bound."""
    return OutputDropped(
        t_ns=stamp[0],
        bound_ns=stamp[1],
        step=key.step,
        attempt=key.attempt,
        stream=cast("Stream", key.stream),
        offset=offset,
        size=size,
        why=why,
    )

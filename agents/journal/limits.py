"""The limits of a journal, with their units and reasons."""

from dataclasses import dataclass
from typing import Final

from fabric.protocol import limits

FULL_PAUSE_S: Final = 0.2
"""A caller that met a full disk or journal tries again after so long, or at the next acknowledgement."""

BACKLOG_BYTES: Final = 4 << 20
"""Most bytes of records that wait in memory while the disk is full: no output, only words about steps."""

OPEN_FILES: Final = 16
"""Most spool files that are open for reading only; those that are written are open anyway."""


ROOM: Final = 0.75
"""After output was thrown away it is kept again when the journal has less than this part of its limit.

At the limit itself each acknowledgement would end a gap and the next chunk begin another."""

STUCK_BYTES: Final = 64 * 1024
"""With less than this unacknowledged, a full disk gets no room from acknowledgements."""

DISK_FULL_S: Final = 30.0
"""A disk that is full for so long, not with what is to be acknowledged: the steps that print are ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one journal may use.  Tests make it small."""

    segment_bytes: int = 4 << 20
    """A segment file of records is closed beyond this: an acknowledgement frees whole files."""

    spool_file_bytes: int = 16 << 20
    """A spool file is closed beyond this: small enough to be freed soon, large enough to be cheap."""

    idle_spool_bytes: int = 1 << 20
    """A spool file that is acknowledged to its end is freed above this size though its stream goes on."""

    chunk_bytes: int = limits.CHUNK_BYTES
    batch_bytes: int = limits.BATCH_BYTES
    """Most bytes of output in one batch, and most bytes of packed records beside it."""

    batch_records: int = limits.BATCH_RECORDS
    window_bytes: int = limits.WINDOW_BYTES
    window_records: int = limits.WINDOW_RECORDS
    journal_bytes: int = limits.JOURNAL_BYTES

    words_bytes: int = 32 * 1024
    """Of the disk, taken before it is full: output gets the rest, words about steps get this too."""

    room_bytes: int = 1 << 20
    """With so much free on the disk, output is kept again after some was thrown away."""

"""Every limit of the wire and of the records, with its unit and its reason."""

from typing import Final

PROTOCOL_VERSION: Final = 3
"""Raised with every change of a message or a record; docs/protocol.json has what belongs to it."""

# --- sizes -----------------------------------------------------------------------------------------
MAX_FRAME_BYTES: Final = 1 << 20
"""Largest frame that a socket takes (MAXMSGSIZE).  ZeroMQ drops the peer that sends more."""

MAX_FRAMES: Final = 4
"""Most frames of one message: MAXMSGSIZE does not limit their number."""

CHUNK_BYTES: Final = 128 * 1024
"""Most bytes of output in one record; CURVE's cost per byte is flat from 64 KiB on."""

BATCH_BYTES: Final = 256 * 1024
"""Most bytes of output in one batch of records: well below MAX_FRAME_BYTES."""

BATCH_RECORDS: Final = 512
"""Most records in one batch, so that a batch of empty records stays below MAX_FRAME_BYTES."""

MAX_TEXT_BYTES: Final = 256 * 1024
"""Longest string in a message (a trial's text)."""

MAX_WHY_CHARS: Final = 500
"""Longest reason for a drain: it stands in a line of a list."""

MAX_ITEMS: Final = 20_000
"""Most elements of an array or a map in a message (a plan's steps times their environment)."""

MAX_PATH_NAMES: Final = 128
"""Most names in the path of a file that is fetched or put, each a directory there: real trees have 30."""

MAX_PATH_CHARS: Final = 4 * 4096
"""Longest path of a fetched file: what the system takes, with each byte written as ``\\xff``."""

# --- window ----------------------------------------------------------------------------------------
WINDOW_BYTES: Final = 8 << 20
"""Most bytes that an agent has on their way without acknowledgement: 200 MB/s for 40 ms."""

WINDOW_RECORDS: Final = 8192
"""Most records that an agent has on their way without acknowledgement."""

FILE_PART_BYTES: Final = MAX_TEXT_BYTES
"""A node that puts a file asks for so much of it at once: the most that a message takes."""

FILE_PARTS: Final = 4
"""Most parts of one file that a node has asked for and not got: 1 MiB covers 10 ms at 100 MB/s."""

JOURNAL_BYTES: Final = 1 << 30
"""Most unacknowledged bytes in an agent's journal; over it the agent stops reading the pipes."""

REPLAY_BYTES: Final = 2 << 20
"""Most bytes that one replay request brings; the reader asks again, so it sets the pace."""

SKIM_BYTES: Final = 16 << 20
"""Most stored bytes that one replay goes through if it brings none of them: a few milliseconds of a turn."""

# --- times -----------------------------------------------------------------------------------------
BEAT_S: Final = 1.0
"""A peer's main loop says something at least this often."""

SILENCE_S: Final = 5.0
"""A peer that was silent for so long is unreachable: four beats lost, and a turn of slack."""

RETURN_S: Final = 15.0
"""A broker that has started waits so long for the nodes that were there when its last life ended: the longest
pause of an agent between two attempts, its silence, and a second for the handshakes of hundreds."""

LEASE_S: Final = 20.0
"""Default: work lives so long without news from those it is done for."""

NODE_PATIENCE_S: Final = 10.0
"""A run waits so long for a node that became unreachable, then it ends as error."""

BARRIER_S: Final = 30.0
"""Default limit of a phase's barrier, on top of the grace of the steps that end there."""

STEP_TIMEOUT_S: Final = 3600.0
"""A `cmd` without `timeout` ends after so long: nothing waits for ever."""

GO_ATTEMPTS: Final = 4
"""A phase whose go was aborted is tried so many times in all."""

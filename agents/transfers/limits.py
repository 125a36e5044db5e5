"""The limits of putting and fetching, with their units and reasons."""

from typing import Final

from fabric.protocol.limits import CHUNK_BYTES, WINDOW_BYTES

READ_BYTES: Final = CHUNK_BYTES
"""Read at once, and one record."""

AHEAD_BYTES: Final = 2 * WINDOW_BYTES
"""No file is read on while so much of the journal is not acknowledged.  The first window is on its way, the
second fills the pause until the next acknowledgement; more would only let the output of other steps wait."""

TURN_BYTES: Final = 1 << 20
"""Read or copied in one turn of the loop, by all transfers together: about 2 ms."""

FILE_COST_BYTES: Final = 32 * 1024
"""What opening a file, or reading a directory, counts in a turn."""

ENDLESS_BYTES: Final = 64 << 20
"""Most bytes of a file that says that it has none, as those in /proc do."""

MAX_FILES: Final = 100_000
"""Most files that one fetch brings."""

DISK_PATIENCE_S: Final = 20.0
"""A full disk may be filled by what is being shipped; a fetch that meets one gives up after so long."""

ASK_AGAIN_S: Final = 2.0
"""What was asked for and has not come is asked for again after so long."""

NO_ANSWER_S: Final = 60.0
"""A put that gets nothing for so long fails: the controller is gone, or never had the file."""

"""Names of a journal's files.  They are made from validated names only, and read back strictly."""

import re
from pathlib import Path
from typing import Final

from agents.journal.ledger import StreamKey
from fabric.errors import DecodeError, StoreError
from fabric.protocol.names import RUN, StepId

_SPOOLED: Final = re.compile(
    r"(?P<step>.+)\.(?P<attempt>[0-9]+)\.(?P<stream>stdout|stderr|file[1-9][0-9]*)\.(?P<offset>[0-9]+|tail)"
)

_LOST: Final = re.compile(r"(?P<stream>.+)\.lost(?P<size>[0-9]+)")

TAIL: Final = "tail"


def journal_directory(root: Path, run: str, incarnation: int) -> Path:
    """Return where the journal of one incarnation for one run is.

    Raises:
        StoreError: If ``run`` is no run id: it comes from the wire and must not lead out of the directory.
    """
    if not RUN.fullmatch(run):
        raise StoreError(f"journal: expected the id of a run, got {run!r:.80}")
    return root / "journals" / run / str(incarnation)


def spool_name(key: StreamKey, offset: int | str) -> str:
    """Return the name of the file that holds a stream from ``offset`` on, or its `TAIL`.

    A step's slashes become plus signs.

    Raises:
        DecodeError: If it is no step id.  In one no plus sign occurs, so the name can be read back.
    """
    step = str(StepId.parse(key.step)).replace("/", "+")
    return f"{step}.{key.attempt}.{key.stream}.{offset}"


def tail_prefix(key: StreamKey) -> str:
    """Return the name of the file for a stream's `TAIL`, without its ending."""
    return spool_name(key, TAIL).removesuffix(f".{TAIL}")


def parse_spool_name(name: str) -> tuple[StreamKey, int | None] | None:
    """Read a name that `spool_name` made.

    Returns:
        The stream and the offset (None: it is a tail), or None for a file that is not of the spool.
    """
    found = _SPOOLED.fullmatch(name)
    if found is None:
        return None
    step = found["step"].replace("+", "/")
    try:
        StepId.parse(step)
    except DecodeError:
        return None
    key = StreamKey(step, int(found["attempt"]), found["stream"])
    return key, None if found["offset"] == TAIL else int(found["offset"])


def lost_tails(directory: Path) -> list[tuple[StreamKey, int, Path]]:
    """Return what a launcher could not put into a tail: the stream, how many bytes, and what says so."""
    found = []
    for path in sorted(directory.iterdir()):
        lost = _LOST.fullmatch(path.name)
        if lost and (name := parse_spool_name(f"{lost['stream']}.{TAIL}")):
            found.append((name[0], int(lost["size"]), path))
    return found

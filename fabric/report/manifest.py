"""MANIFEST.sha256: what the bundle holds, in the form that ``sha256sum -c`` reads."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MANIFEST: Final = "MANIFEST.sha256"

_PIECE_BYTES: Final = 1 << 20


def manifest_text(digests: Mapping[str, str]) -> str:
    """Return the manifest's text.

    Args:
        digests: SHA-256 in hex by path relative to the bundle.  No path holds a backslash or a newline,
            which sha256sum would want escaped: the names in it are checked before they become paths.
    """
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex, reading it in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Make a file's content, or a directory's entries, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, text: str) -> None:
    """Put a file in place whole or not at all: a reader never sees half of it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    sync(part)
    part.replace(path)
    sync(path.parent)

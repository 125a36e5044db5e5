"""What a backup holds: every file with its size and checksum, every run with the number of its records."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from fabric.errors import StoreError
from fabric.store.files import FILE_MODE, told
from fabric.store.making import UNFINISHED

NAME: Final = "manifest.json"
FORMAT: Final = 1
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The last file that a backup gets: one without it is none."""

    software: str
    made: str  # ISO 8601, UTC, by the wall clock of the machine
    files: Mapping[str, tuple[int, str]]  # path to bytes and SHA-256
    records: Mapping[str, int]  # run to number of its last record

    def save(self, directory: Path) -> None:
        """Write it, with a checksum of its own.

        Raises:
            StoreError: If it cannot be written.
        """
        body = asdict(self)
        text = json.dumps({"format": FORMAT, "sha256": _digest(body), **body}, indent=1)
        with told(directory):
            (directory / NAME).touch(FILE_MODE)
            (directory / NAME).write_text(text + "\n")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read it.

        Raises:
            StoreError: If it is not there, damaged, or of a newer testfabric.
        """
        path = directory / NAME
        if not path.exists():
            raise StoreError(
                f"{directory} is no backup: it has no {NAME}", hint="a backup that was interrupted has none"
            )
        with told(path):
            text = path.read_bytes()
        try:
            found = json.loads(text)
            form, digest = found.pop("format"), found.pop("sha256")
            if form == FORMAT and digest != _digest(found):
                raise StoreError(f"{path}: damaged, its checksum is wrong", hint="take another copy")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise StoreError(f"{path}: damaged, it cannot be read", hint="take another copy") from None
        if form != FORMAT:
            raise StoreError(
                f"{path}: written by a newer testfabric", hint="update testfabric on this machine"
            )
        files = {name: (size, digest) for name, (size, digest) in found["files"].items()}
        return cls(software=found["software"], made=found["made"], files=files, records=found["records"])


def checksum(path: Path) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file.

    Raises:
        StoreError: If it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with told(path), path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def files_in(directory: Path) -> list[str]:
    """Return the paths of all files that are copies, from the directory."""
    found = (path for path in directory.rglob("*") if not path.is_dir())
    own = (directory / NAME, directory / UNFINISHED)
    return sorted(str(path.relative_to(directory)) for path in found if path not in own)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

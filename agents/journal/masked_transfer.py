"""Bytes from a pipe into a file, without the secrets in them.

They pass through this process, for splice moves what nobody has looked at.  So what was read, and what is
kept back because it may be the begin of a secret, is lost if the agent is killed at that moment; without
secrets nothing is.
"""

import os
from pathlib import Path
from typing import Final

from agents.journal.masking import Mask, Masker
from agents.journal.names import TAIL
from agents.journal.transfer import FULL, Transfer, read_now

_PIECE_BYTES: Final = 1 << 20


class MaskedTransfer(Transfer):
    """Moves the bytes of one pipe; ``carry`` has what is masked and could not be written yet."""

    def __init__(self, mask: Mask, *, after_loss: bool = False) -> None:
        super().__init__(can_splice=False)
        self._masker = Masker(mask, after_loss=after_loss)
        self._has_ended = False

    def discard(self, source_fd: int, limit_bytes: int) -> bytes | None:
        """Read what is there, as `Transfer.discard` does; what is thrown away is looked at elsewhere."""
        os.set_blocking(source_fd, False)
        try:
            self._fill(source_fd, limit_bytes)
        except BlockingIOError:
            return None
        data, self.carry = self.carry, b""
        return data

    def flush(self) -> None:
        """Let out what is kept back: nothing follows, or nobody waits for it."""
        self.carry += self._masker.finish()

    def _copy(self, source_fd: int, target_fd: int, offset: int, limit_bytes: int) -> int:
        os.set_blocking(source_fd, False)
        self._fill(source_fd, limit_bytes)
        written = os.pwrite(target_fd, self.carry[:limit_bytes], offset) if self.carry else 0
        self.carry = self.carry[written:]
        return written

    def _fill(self, source_fd: int, limit_bytes: int) -> None:
        """Read until something is certain; nothing is there to be carried at the end of the stream.

        Raises:
            BlockingIOError: If nothing is there now.
        """
        while not self.carry and not self._has_ended:
            data = read_now(source_fd, limit_bytes)
            self._has_ended = not data
            self.carry = self._masker.feed(data) if data else self._masker.finish()


def mask_tails(spool: Path, mask: Mask) -> None:
    """Mask what a launcher has drained when its agent was gone; it knows no secrets.

    Each file is replaced in one act.  On a full disk it is written over: masked bytes are not more.
    """
    for path in sorted(spool.glob(f"*.{TAIL}")):
        new = path.with_name(f"{path.name}.masked")
        try:
            with new.open("wb") as target:
                new.chmod(0o600)
                _copy_masked(path, target.fileno(), mask)
            new.replace(path)
        except OSError as error:
            new.unlink(missing_ok=True)
            if error.errno not in FULL:
                raise
            with path.open("r+b") as target:
                target.truncate(_copy_masked(path, target.fileno(), mask))


def _copy_masked(source: Path, target_fd: int, mask: Mask) -> int:
    """Return how many bytes were written.  The agent may have died in the middle of a secret."""
    masker, written = Masker(mask, after_loss=True), 0
    with source.open("rb") as file:
        while data := file.read(_PIECE_BYTES):
            written += os.pwrite(target_fd, masker.feed(data), written)
    return written + os.pwrite(target_fd, masker.finish(), written)

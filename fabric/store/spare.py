"""One descriptor that is kept for when no other is to be had."""

import os


class Spare:
    """A descriptor that stands for another one as long as it is lent.

    It is never free in between: strangers who connect wait for descriptors as well, and are faster.  `lend`
    is for one thread, `give_back` for any.
    """

    def __init__(self) -> None:
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._fd = os.dup(self._nothing)
        self._is_lent = False

    def lend(self, fd: int) -> int | None:
        """Return a descriptor of the same file as ``fd``; None if it is lent already."""
        if self._is_lent:
            return None
        os.dup2(fd, self._fd, inheritable=False)
        self._is_lent = True
        return self._fd

    def give_back(self) -> None:
        """Let go of the file."""
        os.dup2(self._nothing, self._fd, inheritable=False)
        self._is_lent = False

    def close(self) -> None:
        """Close it; it must not be lent."""
        os.close(self._fd)
        os.close(self._nothing)

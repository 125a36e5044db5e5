"""Records that do not fit those before them: their node says what cannot be, and no other has to suffer."""

from collections import Counter
from typing import Final

from fabric.errors import StoreError

TOLD_OF_NODE: Final = 20
"""So many of one node are told, each in a line of missing.txt: who lies once may do so a million times."""


class UnfitRecord(StoreError):  # noqa: N818 - an event, named for what it is about
    """What a record says of a stream or a file contradicts what was said of it before."""

    def __init__(self, path: str, why: str) -> None:
        """Say what is wrong with which file of the bundle."""
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class Unfit:
    """What was set aside, for those who judge the run."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sentences: list[str] = []

    def is_told(self, node: str, error: UnfitRecord) -> bool:
        """Take a record that does not fit; say whether it is one of those that are told."""
        self._counts[node] += 1
        if self._counts[node] > TOLD_OF_NODE:
            return False
        self._sentences.append(f"{node} reports what does not fit: {error}")
        return True

    def take(self) -> list[str]:
        """Return a sentence for each that is new."""
        sentences, self._sentences = self._sentences, []
        return sentences

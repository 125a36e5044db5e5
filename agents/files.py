"""Files to and from this node, for the steps of all runs."""

from collections.abc import Callable

from fabric.protocol.messages import Step


class Files:
    """Answers every request; this version of the agent has no way to move a file.

    Args:
        transferred: Called with key, whether it failed, and a sentence when a put or a fetch is over.
        brought: Called with the key when the files that a step's metrics want were fetched.
    """

    def __init__(self, transferred: Callable[[str, bool, str], None], brought: Callable[[str], None]) -> None:
        self._transferred = transferred
        self._brought = brought

    def transfer(self, key: str, step: Step) -> None:
        """Do a put or a fetch."""
        self._transferred(key, True, f"this agent cannot {step.verb} files")

    def bring(self, key: str, step: Step) -> None:
        """Fetch what the step's metrics want."""
        self._brought(key)

    def stop(self, key: str) -> None:
        """Leave what is under way as it is."""

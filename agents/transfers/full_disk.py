"""A disk of the node that has no room for what a transfer wants to keep."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FullDisk:
    """Where it is, and what it does not take: the lab's matter, not the step's."""

    directory: str
    unstored: str

    def sentence(self, node: str) -> str:
        """Say so to a person."""
        return f"the disk of {node} is full ({self.directory}): {self.unstored} could not be stored"

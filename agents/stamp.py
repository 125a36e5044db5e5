"""PURE.  Between the node's monotonic clock and fabric time."""

from dataclasses import dataclass

from fabric.timing.offset import Estimate


@dataclass(slots=True)
class Stamp:
    """The clock estimate of the moment, and the broker epoch that it belongs to."""

    estimate: Estimate | None = None
    epoch: int = 0

    def fabric(self, local_ns: int) -> tuple[int, int]:
        """Return fabric time and its bound for a local instant; bound -1 without an estimate."""
        if self.estimate is None:
            return 0, -1
        return local_ns + self.estimate.offset_ns, self.estimate.bound_ns

    def known(self, local_ns: int) -> int:
        """Return fabric time for a local instant, and 0 for 0, which is none."""
        return self.fabric(local_ns)[0] if local_ns else 0

    def local(self, fabric_ns: int) -> int:
        """Return the local instant of a fabric time."""
        return fabric_ns - (self.estimate.offset_ns if self.estimate else 0)

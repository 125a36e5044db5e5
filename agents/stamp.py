"""PURE.  Between the node's monotonic clock and fabric time."""

from dataclasses import dataclass

from fabric.timing.offset import Estimate, Known


@dataclass(slots=True)
class Stamp:
    """What is known of the clock, and the broker epoch that it belongs to."""

    clock: Known | None = None
    epoch: int = 0

    def at(self, local_ns: int) -> Estimate | None:
        """Return what is known of a local instant."""
        return self.clock.at(local_ns) if self.clock is not None else None

    def fabric(self, local_ns: int) -> tuple[int, int]:
        """Return fabric time and its bound, which is that of this very instant; bound -1 if none is known."""
        known = self.at(local_ns)
        if known is None:
            return 0, -1
        return local_ns + known.offset_ns, known.bound_ns

    def known(self, local_ns: int) -> int:
        """Return fabric time for a local instant, and 0 for 0, which is none."""
        return self.fabric(local_ns)[0] if local_ns else 0

    def local(self, fabric_ns: int) -> int:
        """Return the local instant of a fabric time.

        Two lookups: the first offset may be that of another instant, and says where to look.
        """
        first = self.at(fabric_ns)
        if first is None:
            return fabric_ns
        second = self.at(fabric_ns - first.offset_ns) or first
        return fabric_ns - second.offset_ns

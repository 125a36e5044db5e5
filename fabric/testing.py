"""What tests share."""


class ManualClock:
    """A `fabric.clock.Clock` that stands still until it is told to go on."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the instant that was reached."""
        return self._now_ns

    def advance_s(self, seconds: float) -> int:
        """Let time pass, to the nearest nanosecond.  Returns the new instant in nanoseconds.

        Raises:
            ValueError: If time would go back.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._now_ns += round(seconds * 1e9)
        return self._now_ns

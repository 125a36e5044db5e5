"""The numbers that a message or a record may have: each field is of one of these kinds, never a bare int.

What is beyond its range is refused by the codec.  So whoever takes a number can add, subtract and show it
without a look at it, and what follows from it fits into a message again: the spans and bounds that a node
reports are far smaller than what the fields take that are sums or differences of them.
"""

from dataclasses import dataclass
from typing import Annotated, Final


@dataclass(frozen=True, slots=True)
class Within:
    """The range of a number, both ends included."""

    name: str
    least: float
    most: float


MAX_INSTANT_NS: Final = (1 << 62) - 1
"""In the year 2116: two of them together are still a number of 64 bits, and each can be written as a date."""

MAX_SPAN_NS: Final = 1 << 57
"""Four and a half years: longer than any run, and thirty of them together are still an instant."""

MAX_COUNT: Final = 1 << 53
"""Exact in JSON and as a float; 8 PiB of output, or 9 million records a second for thirty years."""

MAX_S: Final = 4e9
"""A hundred years, or a week of the time of 6,600 processors; in nanoseconds it is an instant."""

MAX_MEASURE: Final = 1e150
"""Largest number of a metric: sums and squares of thousands of them are numbers still."""

Instant = Annotated[int, Within("Instant", 0, MAX_INSTANT_NS)]
"""A point in time in nanoseconds, or the distance between two of them."""

Span = Annotated[int, Within("Span", 0, MAX_SPAN_NS)]
"""A length of time in nanoseconds."""

Bound = Annotated[int, Within("Bound", -1, MAX_SPAN_NS)]
"""How far off an instant may be in nanoseconds; -1: that is not known."""

Offset = Annotated[int, Within("Offset", -MAX_INSTANT_NS, MAX_INSTANT_NS)]
"""The difference of two clocks in nanoseconds, or a time by one that may be before 1970."""

Count = Annotated[int, Within("Count", 0, MAX_COUNT)]
"""How many or which: bytes, numbers of records, of requests, of processes."""

Whole = Annotated[int, Within("Whole", -MAX_COUNT, MAX_COUNT)]
"""A count that may be negative."""

Port = Annotated[int, Within("Port", 0, 65_535)]
"""Of TCP or UDP."""

Seconds = Annotated[float, Within("Seconds", 0.0, MAX_S)]
"""A length of time in seconds."""

Measure = Annotated[float, Within("Measure", -MAX_MEASURE, MAX_MEASURE)]
"""What a metric came to."""


def clamped(value: int, most: int, least: int = 0) -> int:
    """Return what a message can say of a machine's number: the end of the range, if it is beyond."""
    return min(max(value, least), most)

"""PURE.  When to ask for the time: in bursts when it matters, seldom otherwise.

A burst asks again as soon as an answer is there, so that no question waits behind another one, until the
bound is as good as it gets here or enough was asked.  After it the questions become rarer: each waits twice
as long as the one before, for a go usually comes soon after the burst of its prepare. Instants are
nanoseconds of the local clock that is compared.
"""

from typing import Final, Literal

from fabric.timing.envelope import DRIFT_PPM
from fabric.timing.offset import Estimate

S: Final = 1_000_000_000

BURST_MIN: Final = 4
"""Least answers of a burst: the first ones of a connection may all have met the same queue."""

BURST_MAX: Final = 8
"""Most questions of a burst: with more, 64 nodes on one machine would keep each other from good ones."""

AGAIN_MIN: Final = 1
AGAIN_MAX: Final = 4
"""... and of a burst on a connection that had one.  What is known is compared with the best of then, so one
answer can tell that it is as good; where it is good still, nothing is asked: the bursts of 64 nodes before
each phase took longer than all the rest of it."""

GOOD_PART: Final = 16
"""A bound is good when it is at most half of the smallest round trip of late and this part of it more, which
is for the drift during the burst."""

BURST_GAP_NS: Final = S // 50
"""A question of a burst that is not answered after this is followed by the next one; else the answer is."""

BURST_LIMIT_NS: Final = S
"""A burst of which some questions are lost is over after this, if any was answered; else it begins again."""

SOON_NS: Final = S // 4
"""After a burst the first question waits so long."""

SELDOM_NS: Final = (2 * S, 10 * S)
"""Bounds of the longest wait, which is the time in which drift adds as much as the best answer leaves open.
At the least one drift adds a millisecond; at the most one the broker's silence would have been noticed."""


Due = Literal["", "ask", "over"]
"""Nothing, a question, or the end of a burst of which not all was answered."""


class Probing:
    """Decides when a question goes out, and when a burst is over."""

    def __init__(self, now_ns: int) -> None:
        self.deadline_ns = now_ns
        """When `expire` has something to do."""
        self._since_ns: int | None = None  # answers to what was asked from then on are a burst's
        self._limit_ns = 0  # of the burst
        self._left = 0
        self._answers = 0
        self._wait_ns = SOON_NS
        self._is_first = True  # burst of this connection
        self._has_begun = False  # a burst of which nothing was asked yet

    def begin_burst(self, now_ns: int) -> None:
        """Ask several times from now on; a burst that is under way is over without having ended."""
        self._since_ns, self._answers, self._has_begun = now_ns, 0, True
        self._refill(now_ns)

    def stop(self) -> None:
        """Expect no answers any more: the connection is gone."""
        self._since_ns, self._left, self._is_first = None, 0, True

    def expire(self, now_ns: int, known: Estimate | None) -> Due:
        """Say what is due.  Safe to call at any time.

        Args:
            now_ns: The present.
            known: Of the present.
        """
        if now_ns < self.deadline_ns:
            return ""
        if self._since_ns is None:
            self.deadline_ns = now_ns + self._wait_ns
            self._wait_ns = min(2 * self._wait_ns, _longest_ns(known))
            return "ask"
        is_needless = self._has_begun and not self._is_first and known is not None and is_good_bound(known)
        if is_needless or (self._left == 0 and self._answers > 0):
            self._end(now_ns)
            return "over"
        self._has_begun = False
        if self._left == 0:
            self._refill(now_ns)
        self._left -= 1
        self.deadline_ns = now_ns + BURST_GAP_NS if self._left else self._limit_ns
        return "ask"

    def answered(self, t1_ns: int, known: Estimate | None, now_ns: int) -> bool:
        """Take note of an answer; say whether it ends a burst.

        Args:
            t1_ns: When it was asked for.
            known: Of the present, with this answer.
            now_ns: The present.
        """
        if self._since_ns is None or t1_ns < self._since_ns:
            return False
        self._answers += 1
        least, most = (BURST_MIN, BURST_MAX) if self._is_first else (AGAIN_MIN, AGAIN_MAX)
        is_good = self._answers >= least and known is not None and is_good_bound(known)
        if is_good or self._answers >= most:
            self._end(now_ns)
            return True
        if self._left:
            self.deadline_ns = now_ns
        return False

    def _refill(self, now_ns: int) -> None:
        self._left = BURST_MAX if self._is_first else AGAIN_MAX
        self.deadline_ns, self._limit_ns = now_ns, now_ns + BURST_LIMIT_NS

    def _end(self, now_ns: int) -> None:
        self.stop()
        self._is_first = False
        self._wait_ns = 2 * SOON_NS
        self.deadline_ns = now_ns + SOON_NS


def is_good_bound(known: Estimate) -> bool:
    """Say whether it is about as good as exchanges of late can make it."""
    return 0 <= known.bound_ns <= known.rtt_ns // 2 + known.rtt_ns // GOOD_PART


def _longest_ns(known: Estimate | None) -> int:
    least_ns, most_ns = SELDOM_NS
    if known is None:
        return least_ns
    return min(max(known.rtt_ns // 2 * 1_000_000 // DRIFT_PPM, least_ns), most_ns)

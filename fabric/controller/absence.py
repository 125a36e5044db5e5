"""PURE.  What a user is told of a broker that is away, and that it is back."""

from typing import Final

S: Final = 1_000_000_000


class Absence:
    """Makes the sentences.

    Args:
        url: Of the broker.
        patience_s: How long its first welcome is waited for.
        break_patience_s: How long it is waited for after a break; None: for ever.
    """

    def __init__(self, url: str, patience_s: float, break_patience_s: float | None) -> None:
        self._url = url
        self._patience_s = patience_s
        self._break_patience_s = break_patience_s
        self._answer = ""  # begins what is told when it is there

    def awaited(self) -> str:
        """Say that the first welcome is late."""
        self._answer = "the broker answers"
        return _away(f"no answer from {self._url} yet", self._patience_s)

    def lost(self, why: str) -> str:
        """Say that the connection is over."""
        self._answer = "the broker is back"
        return _away(why, self._break_patience_s)

    def ended(self, after_ns: int) -> str:
        """Say that the broker is there; "" if nobody was told that it was not.

        Args:
            after_ns: How long nothing was heard of it.
        """
        answer, self._answer = self._answer, ""
        return f"{answer} after {max(round(after_ns / S), 1)} s" if answer else ""


def _away(why: str, patience_s: float | None) -> str:
    limit = "until it is back" if patience_s is None else f"up to {patience_s:g} s"
    return f"broker away: {why}; waiting {limit}"

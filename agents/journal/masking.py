"""Puts `TOKEN` in the place of secrets in what programs write, wherever it is cut into pieces.

A secret is known in the forms in which programs print it as a whole: as it is, as JSON or a URL has it, and
each line of one that has several.  In any other form (base64, reversed, letter by letter) it is not.
"""

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

TOKEN: Final = b"***"
"""Shorter than any secret, so that what is masked is never longer than what it was."""

MIN_LINE_BYTES: Final = 8
"""A shorter line of a secret of several lines is not masked by itself."""

MIN_REST_BYTES: Final = 4
"""So much of the end of a secret is taken for one where the bytes before it were lost."""


class Mask:
    """The secrets that one node knows in one run."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {form for value in values for form in _forms(value)}
        self.forms = tuple(sorted(found, key=len, reverse=True))
        self.longest = len(self.forms[0]) if self.forms else 0

    def spans(self, data: bytes, covered: int = 0) -> list[tuple[int, int]]:
        """Return where secrets stand, in order; those that overlap are one.

        Args:
            data: To look through.
            covered: So many bytes at its begin belong to one that was found before.
        """
        found = [(0, covered)] if covered else []
        for form in self.forms:
            start = data.find(form)
            while start >= 0:
                found.append((start, start + len(form)))
                start = data.find(form, start + 1)  # one may begin within another
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def open_end(self, data: bytes) -> int:
        """Return from where on the data may be the begin of a secret whose rest is still to come."""
        least = len(data)
        for form in self.forms:
            start = data.find(form[:1], max(0, len(data) - len(form) + 1))
            while 0 <= start < least:
                if form.startswith(data[start:]):
                    least = start
                start = data.find(form[:1], start + 1)
        return least

    def rest(self, data: bytes) -> int:
        """Return how many bytes at the begin are the end of a secret."""
        sizes = (
            size
            for form in self.forms
            for size in range(min(len(form) - 1, len(data)), MIN_REST_BYTES - 1, -1)
            if data.startswith(form[-size:])
        )
        return max(sizes, default=0)

    def may_go_on(self, data: bytes) -> bool:
        """Whether all of this may be the middle of a secret."""
        return any(data in form[:-1] for form in self.forms)

    def mask(self, data: bytes) -> bytes:
        """Return bytes without the secrets in them; they are all there are."""
        masker = Masker(self)
        return masker.feed(data) + masker.finish()

    def mask_text(self, text: str) -> str:
        """Return a text without the secrets in it."""
        return self.mask(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


class Masker:
    """Masks one stream, piece by piece.

    It keeps back what may be the begin of a secret, which is less than the longest one has.

    Args:
        mask: The secrets.
        after_loss: The stream may begin in the middle of one.
    """

    def __init__(self, mask: Mask, *, after_loss: bool = False) -> None:
        self._mask = mask
        self._held = b""
        self._covered = 0  # of what is held, at its begin: `TOKEN` stands for it already
        self._after_loss = after_loss

    def feed(self, data: bytes) -> bytes:
        """Return what is certain now."""
        data = self._held + data
        if self._after_loss:
            if self._mask.may_go_on(data):
                self._held = data
                return b""
            data = self._begin(data)
        return self._take(data, is_last=False)

    def finish(self) -> bytes:
        """Return what was kept back: nothing follows."""
        return self._take(self._begin(self._held) if self._after_loss else self._held, is_last=True)

    def _begin(self, data: bytes) -> bytes:
        """Mask the end, or the middle, of a secret whose begin was lost."""
        self._after_loss = False
        is_middle = len(data) >= MIN_REST_BYTES and self._mask.may_go_on(data)
        size = len(data) if is_middle else self._mask.rest(data)
        return (TOKEN if size else b"") + data[size:]

    def _take(self, data: bytes, *, is_last: bool) -> bytes:
        end = len(data) if is_last else self._mask.open_end(data)
        parts: list[bytes] = []
        at = 0
        for start, stop in self._mask.spans(data, self._covered):
            is_told = not start and self._covered > 0
            if start >= end and not is_told:
                break
            parts += (data[at:start], b"" if is_told else TOKEN)
            at = stop
        parts.append(data[at:end])
        self._held, self._covered = data[end:], max(0, at - end)
        return b"".join(parts)


def _forms(value: str) -> Iterable[bytes]:
    """Yield a secret as programs print it."""
    yield value.encode("utf-8", "surrogateescape")
    plain = value.encode("utf-8", "replace").decode()
    yield json.dumps(plain)[1:-1].encode()
    yield json.dumps(plain, ensure_ascii=False)[1:-1].encode()
    yield quote(plain, safe="").encode()
    yield quote_plus(plain).encode()
    lines = value.splitlines()
    for line in lines if len(lines) > 1 else ():
        if len(encoded := line.strip().encode("utf-8", "surrogateescape")) >= MIN_LINE_BYTES:
            yield encoded

"""PURE.  Whether a spawned step is ready: what is looked at and how often, and what was seen last.

Instants are nanoseconds of the local monotonic clock.
"""

import re
from collections.abc import Iterator
from typing import Final

from agents.lines import Lines
from fabric.protocol.messages import ReadyWhen
from fabric.protocol.records import Stream
from fabric.searching import SearchTooLong, first_found

MS: Final = 1_000_000

LOOK_NS: Final = (20 * MS, 250 * MS)
"""First and longest pause between two looks at a port or a file; each look costs some 0.1 ms."""

CMD_NS: Final = (200 * MS, 1000 * MS)
"""The same between the end of a command and the beginning of the next: it is a process each time."""

SEARCH_S: Final = 0.5
"""Longest search in a group of lines: the agent does nothing else meanwhile, and is lost after SILENCE_S."""

GROUP_CHARS: Final = 8192
"""Lines are searched together up to so much: one long line, or thousands of short ones."""

GROWTH: Final = 1.5
"""By which a pause grows: a program that starts fast is seen soon, one that does not is not disturbed."""


class Readiness:
    """Begins with the arming of the step, for its output may come before the news of its start."""

    def __init__(self, when: ReadyWhen) -> None:
        self.when = when
        self.is_over = False  # it is ready, or nobody waits for it any more
        self._pause_ns, self._longest_ns = CMD_NS if when.cmd else LOOK_NS
        self._pattern = re.compile(when.log) if when.log else None
        self._lines = Lines()
        self._found = ""  # the line that matches
        self._seen = ""
        self._gave_up = ""  # on the expression
        self._next_ns: int | None = None  # None: not begun, or a look is under way
        self._limit_ns: int | None = None

    def begin(self, now_ns: int) -> None:
        """The step has started."""
        self._limit_ns = now_ns + round(self.when.within_s * 1000 * MS)
        self._next_ns = None if self._pattern else now_ns

    def go_on(self, limit_ns: int, now_ns: int) -> None:
        """The step has started in an earlier life of the agent: look again at once."""
        self._limit_ns = limit_ns
        self._next_ns = None if self._pattern else now_ns

    @property
    def limit_ns(self) -> int:
        """When its time is up; 0 before the step has started."""
        return self._limit_ns or 0

    @property
    def reads_output(self) -> bool:
        """Whether it wants the bytes that the step writes."""
        return self._pattern is not None and not self.is_over

    @property
    def what(self) -> str:
        """What has shown that it is ready; "" while nothing has."""
        return f"its output has {self._found!r:.200}" if self._found else ""

    @property
    def deadline_ns(self) -> int | None:
        """When to look again, or to give up."""
        if self.is_over or self._limit_ns is None:
            return None
        return self._limit_ns if self._next_ns is None else min(self._next_ns, self._limit_ns)

    def is_late(self, now_ns: int) -> bool:
        """Whether its time is up."""
        return not self.is_over and self._limit_ns is not None and now_ns >= self._limit_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether to look now; `seen` says what came of it."""
        if self.is_over or self._next_ns is None or now_ns < self._next_ns:
            return False
        self._next_ns = None
        return True

    def seen(self, what: str, now_ns: int) -> None:
        """A look has shown that it is not ready; ``what`` may say more."""
        self._seen = what
        self._next_ns = now_ns + self._pause_ns
        self._pause_ns = min(round(self._pause_ns * GROWTH), self._longest_ns)

    def take(self, stream: Stream, data: bytes) -> None:
        """Look for the pattern in what the step has written; see `what`."""
        if self._pattern is None or self._found:
            return
        try:
            for group in _groups(self._lines.take(stream, data)):
                line = first_found(self._pattern, group, SEARCH_S)
                if line is not None:
                    self._found = line.strip() or line
                    return
        except SearchTooLong as error:
            self._gave_up = f" ({error} on one of them)"
            self._pattern = None  # it would hold the agent up with the next line, too

    def lacking(self) -> str:
        """Say what did not come in time, and what was seen instead."""
        within = f"within {self.when.within_s:g} s"
        more = f" ({self._seen})" if self._seen else ""
        if self.when.port is not None:
            return f"nothing listens on port {self.when.port} {within}{more}"
        if self.when.log:
            return f"no line of its output matches '{self.when.log:.200}' {within}{self._gave_up}"
        if self.when.cmd:
            return f"`{command_text(self.when.cmd)}` did not succeed {within}{more}"
        return f"there is no file {self.when.file!r:.200} {within}"


def _groups(lines: list[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line) + 1
        if size >= GROUP_CHARS:
            yield group
            group, size = [], 0
    yield group


def command_text(argv: tuple[str, ...]) -> str:
    """Return a command as a person knows it, without the shell that runs it."""
    text = argv[2] if argv[:2] == ("/bin/sh", "-c") and len(argv) == 3 else " ".join(argv)  # noqa: PLR2004
    return f"{text:.200}"

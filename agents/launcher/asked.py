"""What a step asks of the launcher besides its command: the agent's side of an arm command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """User, terminal, input and limits of a step."""

    user: str = ""
    """A name of the node; empty: the agent's own user."""

    scratch: tuple[str, str] = ("", "")
    """A directory that the user is let into, and the state directory above it; see `account.give`."""

    pty: bool = False
    stdin: bytes | None = None
    stdin_file: str = ""
    """Relative to the step's directory; opened with its user's rights."""

    program: str = ""
    """Absolute path to execute under the name that the command has for it; empty: looked up."""

    limits: Mapping[str, int] = field(default_factory=dict)
    """memory, files, processes, cpu, file_size, core; in bytes, seconds or numbers."""

    def words(self) -> dict[str, Any]:
        """Return it as part of a frame."""
        return {
            "user": self.user,
            "scratch": self.scratch,
            "pty": self.pty,
            "stdin": (self.stdin or b"").decode("latin-1"),
            "stdin_file": self.stdin_file,
            "program": self.program,
            "limits": dict(self.limits),
        }


PLAIN: Final = Asked()

"""PURE.  What the owner of a node lets steps do there, whoever asks: users, paths, where a put may go.

Paths that are asked about are real ones: absolute, without links and `..`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

MAGIC: Final = frozenset("*?[")

Resolve = Callable[[str], str]
"""Returns the real path of what a path leads to, as far as it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules.  Without any, everything is allowed."""

    users: tuple[str, ...] = ()
    """The only users as whom steps may run; empty: any."""

    paths: tuple[str, ...] = ()
    """What may be executed, read and written, with all that is below; empty: anything.

    Absolute, with ``*``, ``?``, ``[...]`` in a name and ``**`` for any directories.
    """

    only_scratch: bool = False
    """A put may write into the run's own directory, and nowhere else."""

    @property
    def is_open(self) -> bool:
        """Whether it has no rule."""
        return not (self.users or self.paths or self.only_scratch)

    def facts(self, own_user: str, resolve: Resolve) -> dict[str, str]:
        """Return what the node tells of it; ``own_user`` is the agent's."""
        is_shell_barred = bool(self.why_not_path(resolve("/bin/sh"), resolve))
        found = {
            "allow_user": " ".join(self.users),
            "own_user": own_user if self.users else "",
            "allow_path": " ".join(self.paths),
            "shell": "no" if is_shell_barred else "",
            "read_only_put": "yes" if self.only_scratch else "",
        }
        return {f"policy_{name}": value for name, value in found.items() if value}

    def why_not_user(self, user: str) -> str:
        """Return why nothing may run as a user of the node; "" if it may."""
        if not self.users or user in self.users:
            return ""
        allowed = ", ".join(self.users)
        return f"it would run as user {user}, and this node allows {allowed} (allow_user)"

    def why_not_path(self, path: str, resolve: Resolve) -> str:
        """Return why a path may not be used; "" if it may."""
        if not self.paths or any(matches(path, real_pattern(one, resolve)) for one in self.paths):
            return ""
        return f"this node allows {', '.join(self.paths)} (allow_path)"

    def may_lie_below(self, path: str, resolve: Resolve) -> bool:
        """Whether something that is allowed may be found below a directory."""
        parts = path_parts(path)
        return not self.paths or any(
            path_parts(_plain_part(real_pattern(one, resolve)))[: len(parts)] == parts
            or matches(path, real_pattern(one, resolve))
            for one in self.paths
        )


OPEN: Final = Policy()
"""Without a rule."""


def real_pattern(pattern: str, resolve: Resolve) -> str:
    """Return a pattern with what stands before its first magic part resolved."""
    plain = _plain_part(pattern)
    return resolve(plain).rstrip("/") + pattern[len(plain.rstrip("/")) :] if plain else pattern


def matches(path: str, pattern: str) -> bool:
    """Say whether a path is what a pattern means, or lies below that."""
    return _matches(path_parts(path), path_parts(pattern))


def path_parts(path: str) -> list[str]:
    """Return the names in a path."""
    return [part for part in path.split("/") if part]


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _plain_part(pattern: str) -> str:
    """Return a pattern up to the slash before its first part that is magic."""
    parts = pattern.split("/")
    plain = next((index for index, part in enumerate(parts) if MAGIC & set(part)), len(parts))
    return "/".join(parts[:plain])

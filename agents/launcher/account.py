"""As which user of the node a step runs, and looking at files with that user's eyes."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH101, PTH116, PTH120

from __future__ import annotations

import os
import pwd

from agents.launcher.program import CannotStartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_PASS_THROUGH = 0o011
_SHARED = 0o1777


class Account:
    """A user of the node."""

    __slots__ = ("gid", "groups", "home", "name", "shell", "uid")

    def __init__(self, name: str) -> None:
        """Look the user up.

        Raises:
            CannotStartError: If there is none of that name.
        """
        try:
            found = pwd.getpwnam(name)
        except (KeyError, ValueError):
            raise CannotStartError(f"there is no user {name!r:.60} on this node") from None
        self.name = name
        self.uid = found.pw_uid
        self.gid = found.pw_gid
        self.home = found.pw_dir
        self.shell = found.pw_shell or "/bin/sh"
        self.groups = os.getgrouplist(name, found.pw_gid)

    @property
    def is_own(self) -> bool:
        """Whether this process runs as this user already, so that nothing is to be changed."""
        return (self.uid, self.gid) == (os.geteuid(), os.getegid())

    def environment(self) -> dict[str, str]:
        """Return what a login would set."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}

    def become(self) -> None:
        """Be this user from now on."""
        if not self.is_own:
            os.setgroups(self.groups)
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)

    def own(self, fd: int) -> None:
        """Let this user open a pipe or a terminal again by its name: ``echo x > /dev/stderr``."""
        if not self.is_own:
            os.fchown(fd, self.uid, -1)


class As:
    """Look at files as a user, for a moment.  Without one, or as one's own, nothing changes.

    The effective ids alone are changed: the real ones stay, so nobody may signal or trace this process.
    """

    __slots__ = ("_account", "_before")

    def __init__(self, account: Account | None) -> None:
        self._account = None if account is None or account.is_own else account
        self._before = (os.getgroups(), os.getegid(), os.geteuid())

    def __enter__(self) -> None:
        """Take the ids.

        Raises:
            CannotStartError: If this process may not.
        """
        if self._account is None:
            return
        try:
            os.setgroups(self._account.groups)
            os.setegid(self._account.gid)
            os.seteuid(self._account.uid)
        except OSError:
            self._back()
            raise CannotStartError(
                f"this agent may not run a step as user {self._account.name!r}: "
                "it has to be root, or its user has to be the step's"
            ) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take one's own ids back."""
        if self._account is not None:
            self._back()

    def _back(self) -> None:
        groups, gid, uid = self._before
        os.seteuid(uid)
        os.setegid(gid)
        if os.getgroups() != groups:
            os.setgroups(groups)


def give(account: Account, scratch: str, state_dir: str) -> None:
    """Let a user work in a scratch directory somewhere below the state directory.

    What lies between may be passed through from then on, but not listed.  The scratch directory becomes the
    user's; for the second user of one run it becomes like /tmp.  The agent, which is root, may do anything
    there all the same.

    Raises:
        OSError: If the directories cannot be changed.
    """
    if account.is_own:
        return
    above = os.path.dirname(scratch)
    while len(above) >= len(state_dir):
        os.chmod(above, os.stat(above).st_mode & 0o7777 | _PASS_THROUGH)
        above = os.path.dirname(above)
    owner = os.stat(scratch).st_uid
    if owner == os.geteuid():
        os.chown(scratch, account.uid, account.gid)
    elif owner != account.uid:
        os.chmod(scratch, _SHARED)

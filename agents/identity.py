"""Who this agent is towards its broker: made at the first start, kept for the others, renewed on demand."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from fabric.config import Address
from fabric.errors import FabricError, UsageError
from fabric.keys import AgentIdentity, JoinToken, KeyPair
from fabric.log import get_logger
from fabric.protocol.messages import Rotate

log = get_logger()

KNOWN: Final = "agent.json"
PENDING: Final = "agent.new.json"
"""A key that is not enrolled yet.  It is kept all the same: the answer to its enrolment may be lost, and the
token would let no other key in."""

NEXT: Final = "agent.next.json"
"""A key that is to follow the present one, and that the broker may know already."""

OVERLAP_S: Final = 3600.0
"""For a key that an earlier life of the agent made and did not get through with."""


class Identity:
    """The agent's key file, and whether the broker knows the key."""

    def __init__(self, directory: Path, name: str, broker: Address, token: JoinToken | None) -> None:
        """Find the identity, or make one that is to be enrolled.

        Raises:
            UsageError: If there is none and no token to get one, or it is another node's.
            FabricError: If a key file can be read by others.
        """
        self._directory, self._broker = directory, broker
        self._token = token
        self.secret: bytes | None = None
        known = AgentIdentity.load(directory / KNOWN)
        if known is not None and (token is None or known.broker_public == token.broker_public):
            if known.name != name:
                raise UsageError(
                    f"the state directory {directory} is that of node {known.name}, not of {name}",
                    hint="name another one with --state-dir",
                )
            self.value = known
            self._next = AgentIdentity.load(directory / NEXT)
            return
        if token is None:
            raise UsageError(
                f"node {name} has not joined a fabric yet (no key in {directory})",
                hint="give the token that fabric-broker or `fabric keys invite` printed: --join fj1...",
            )
        self._next = None
        self._join(name, token)

    def enrolled(self) -> None:
        """The broker knows the key from now on."""
        with suppress(OSError):  # of a disk that takes nothing: the next life enrols anew
            (self._directory / PENDING).rename(self._directory / KNOWN)
        self.secret = None

    def reached(self, broker: Address) -> None:
        """Keep where the broker is now, if that has changed: the doctor looks there."""
        if self.value.url == str(broker):
            return
        self.value = replace(self.value, url=str(broker))
        with suppress(FabricError):  # of a disk that takes nothing: the next life keeps it
            self.value.save(self._directory / KNOWN)

    def renew(self, overlap_s: float) -> Rotate | None:
        """Make the next key, which is on the disk before anybody hears of it.

        Returns:
            What to say of it; None if the disk takes nothing: then the present key goes on.
        """
        if self._next is None:
            made = replace(self.value, keys=KeyPair.new())
            try:
                made.save(self._directory / NEXT)
            except FabricError as error:
                log.warning("key_not_renewed", why=str(error))
                return None
            self._next = made
        return Rotate(request=0, public_key=self._next.keys.public.decode(), overlap_s=overlap_s)

    def unfinished(self) -> Rotate | None:
        """Return what to say again, if the answer of the broker to the next key is not there yet."""
        return None if self._next is None else self.renew(OVERLAP_S)

    def renewed(self) -> bool:
        """The broker knows the next key: be it.  Returns whether there was one."""
        if self._next is None:
            return False
        with suppress(OSError):  # then the next life goes through with it again
            (self._directory / NEXT).rename(self._directory / KNOWN)
        self.value, self._next = self._next, None
        return True

    def revoked(self) -> bool:
        """The broker has ended the key: take another one, if there is one or a token to get one.

        Each is tried once: a key that is refused, too, does not come back here.
        """
        if self.renewed():
            return True
        if self._token is None or self.secret is not None:
            return False
        self._join(self.value.name, self._token)
        return True

    def _join(self, name: str, token: JoinToken) -> None:
        self._token = None
        self.secret = token.secret
        self.value = self._pending(name, self._broker, token)

    def _pending(self, name: str, broker: Address, token: JoinToken) -> AgentIdentity:
        path = self._directory / PENDING
        found = AgentIdentity.load(path)
        if found is not None and (found.name, found.broker_public) == (name, token.broker_public):
            return found
        made = AgentIdentity(
            url=str(broker), name=name, keys=KeyPair.new(), broker_public=token.broker_public
        )
        made.save(path)
        return made

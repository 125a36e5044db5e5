"""Who this agent is towards its broker: made at the first start, kept for the others."""

from pathlib import Path
from typing import Final

from fabric.config import Address
from fabric.errors import UsageError
from fabric.keys import AgentIdentity, JoinToken, KeyPair

KNOWN: Final = "agent.json"
PENDING: Final = "agent.new.json"
"""A key that is not enrolled yet.  It is kept all the same: the answer to its enrolment may be lost, and the
broker would take no other key for the name."""


class Identity:
    """The agent's key file, and whether the broker knows the key."""

    def __init__(self, directory: Path, name: str, broker: Address, token: JoinToken | None) -> None:
        """Find the identity, or make one that is to be enrolled.

        Raises:
            UsageError: If there is none and no token to get one, or it is another node's.
            FabricError: If a key file can be read by others.
        """
        self._directory = directory
        self.secret: bytes | None = None
        known = AgentIdentity.load(directory / KNOWN)
        if known is not None and (token is None or known.broker_public == token.broker_public):
            if known.name != name:
                raise UsageError(
                    f"the state directory {directory} is that of node {known.name}, not of {name}",
                    hint="name another one with --state-dir",
                )
            self.value = known
            return
        if token is None:
            raise UsageError(
                f"node {name} has not joined a fabric yet (no key in {directory})",
                hint="give the token that fabric-broker printed: --join fj1...",
            )
        self.secret = token.secret
        self.value = self._pending(name, broker, token)

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

    def enrolled(self) -> None:
        """The broker knows the key from now on."""
        (self._directory / PENDING).rename(self._directory / KNOWN)
        self.secret = None

"""The tree of errors.  A command prints one as one line and a hint, and exits with its code."""


class FabricError(Exception):
    """Something that a user can be told in one line."""

    exit_code = 3
    is_rendered = False
    """Whether its text is printed as it stands, instead of one line with a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(FabricError):
    """The command line or a file is wrong; nothing was started."""

    exit_code = 2


class ProtocolError(FabricError):
    """A peer sent what it must not send."""


class DecodeError(ProtocolError):
    """Bytes that are no valid message.  Says where, what was wanted and what came."""


class VersionMismatch(ProtocolError):  # noqa: N818 - an event, named as the field names it
    """The peer speaks another version of the protocol."""


class TooFewDescriptors(FabricError):  # noqa: N818 - an event, named as the field names it
    """This process may not open as many files as it needs."""


class StoreError(FabricError):
    """The record log or the catalogue cannot be read or written."""


class ConnectionRefused(FabricError):  # noqa: N818 - an event, named as the field names it
    """The broker is away, or it does not let this key in."""


class KeyRevoked(ConnectionRefused):
    """The broker does not let this key in any more."""

"""What the launcher needs of the system, without the price of the standard library's wrappers.

``socket``, ``signal``, ``ctypes`` and ``json`` import enum, re and selectors: 1.3 MB and 20 ms in a process
that is wanted small and at once.  Their C halves are part of every CPython and have the same functions.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # the checkers know the name; importing `typing` costs 1 MB
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable
    from typing import Any
else:
    import _signal as signal
    import _socket as socket

__all__ = ["dumps", "loads", "pack_fds", "signal", "socket", "unpack_fds"]

_FD_BYTES = 4  # sizeof(int), the element of SCM_RIGHTS

# --- JSON -----------------------------------------------------------------------------------------------


class _Reading:
    """How the scanner reads: what ``json.JSONDecoder`` sets by default."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _accelerated() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    encode = make_encoder(None, None, encode_basestring_ascii, None, ":", ",", False, False, False)  # type: ignore[arg-type]
    scan = make_scanner(_Reading())  # type: ignore[arg-type]

    def dumps(value: Any) -> str:
        return "".join(encode(value, 0))

    def loads(text: str) -> Any:
        try:
            return scan(text, 0)[0]
        except StopIteration:  # how the scanner says that nothing begins here
            raise ValueError("no JSON") from None

    if loads(dumps({"a": [1, "\udcff", None]})) != {"a": [1, "\udcff", None]}:
        raise ValueError("the C halves of json do not understand each other")
    return dumps, loads


def _codec() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    try:
        return _accelerated()
    except (ImportError, TypeError, ValueError, AttributeError):  # another Python: private names may change
        import json

        return json.dumps, json.loads


dumps, loads = _codec()
"""JSON as ASCII text; lone surrogates (bytes of an environment that are no UTF-8) survive."""

# --- descriptors through a Unix socket ------------------------------------------------------------------


def pack_fds(fds: tuple[int, ...]) -> bytes:
    """Return the body of an SCM_RIGHTS message."""
    return b"".join(fd.to_bytes(_FD_BYTES, sys.byteorder) for fd in fds)


def unpack_fds(body: bytes) -> list[int]:
    """Return the descriptors in the body of an SCM_RIGHTS message."""
    whole = len(body) - len(body) % _FD_BYTES
    return [int.from_bytes(body[at : at + _FD_BYTES], sys.byteorder) for at in range(0, whole, _FD_BYTES)]

"""Looking at a connection of ZeroMQ's by its descriptor, which stays ZeroMQ's."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def borrowed(fd: int) -> Iterator[socket.socket]:
    """Give a socket that shares the connection of a descriptor; the descriptor stays open.

    Raises:
        OSError: If there is no such descriptor, or it is no socket.
    """
    copy = os.dup(fd)
    try:
        line = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with line:
        yield line

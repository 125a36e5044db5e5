"""How a command gets its connection to the broker, and gives it back."""

from collections.abc import Iterator
from contextlib import contextmanager

from fabric.controller.connection import PATIENCE_S, Connection
from fabric.keys import find_operator_access
from fabric.log import set_up_command


@contextmanager
def attached(
    program: str, broker: str | None, patience_s: float = PATIENCE_S, *, verbose: bool, quiet: bool
) -> Iterator[Connection]:
    """Set up logging, connect as the operator, and close in the end.

    Args:
        program: What the command calls itself.
        broker: The URL that the user gave, if any.
        patience_s: How long to wait for a broker that is away, or went away in between; the first welcome,
            which takes a second on a busy machine, and answers have `PATIENCE_S` at least.
        verbose: Log everything.
        quiet: Say nothing of a broker that is away, but in an error.

    Raises:
        FabricError: If no key is stored here, or if the broker does not let it in.
    """
    set_up_command(verbose=verbose, quiet=quiet)
    connection = Connection(
        find_operator_access(broker),
        program=program,
        patience_s=max(patience_s, PATIENCE_S),
        break_patience_s=patience_s,
    )
    try:
        connection.wait_up()
        yield connection
    finally:
        connection.close()

"""Where the programs begin: Ctrl-C ends them without a word while they are still being imported.

Nothing here imports more than it needs before that is so.
"""

import os
import signal

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""


def fabric() -> None:
    """Be ``fabric``."""
    _enter("fabric.cli.main")


def run() -> None:
    """Be ``fabric-run``."""
    _enter("fabric.cli.run")


def tail() -> None:
    """Be ``fabric-tail``."""
    _enter("fabric.cli.tail")


def leave(_number: int, _frame: object) -> None:
    """Leave at once.  `reported_errors` hears of Ctrl-C in another way: where there is something to end."""
    os._exit(EXIT_INTERRUPTED)


def _enter(module: str) -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else who started it wants it ignored
        signal.signal(signal.SIGINT, leave)
    from importlib import import_module

    import_module(module).main()

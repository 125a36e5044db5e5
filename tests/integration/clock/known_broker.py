"""A broker as it is, that also writes down what no broker tells: its fabric time minus CLOCK_MONOTONIC.

python known_broker.py FILE ARGUMENTS OF THE BROKER...
"""

import sys
from pathlib import Path

from broker.cli import main
from fabric.clock import FabricClock

made = FabricClock.__init__


def make(clock: FabricClock, offset_ns: int | None = None) -> None:
    made(clock, offset_ns)
    Path(sys.argv[1]).write_text(str(clock._offset_ns))


FabricClock.__init__ = make  # type: ignore[method-assign]
main(sys.argv[2:])

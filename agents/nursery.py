"""The agents of a private fabric, forked from one process that has done their imports once for all of them.

One line of JSON comes by stdin when the broker serves: the words of `fabric-agent` for each name.  When an
agent ends, a line with its name and exit code goes out by stdout.  The nursery ends after the last of them,
or with stdin if nothing came; SIGTERM kills them all.
"""

import gc
import json
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from agents import run  # noqa: F401 - with all that it imports: this is what takes the time
from agents.cli import main as agent


def main() -> None:
    """Fork as told, and wait for all of them."""
    line = sys.stdin.readline()
    if not line:
        return
    names: dict[int, str] = {}

    def kill(*_: object) -> None:
        for pid in names:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, kill)
    gc.freeze()  # or the first collection of each would copy the pages that they share
    for name, words in json.loads(line).items():
        pid = os.fork()
        if pid == 0:
            _be_agent(words)
        names[pid] = name
    while names:
        pid, status = os.wait()
        name = names.pop(pid, "")
        if name:
            with suppress(BrokenPipeError):
                os.write(1, f"{name} {os.waitstatus_to_exitcode(status)}\n".encode())


def _be_agent(words: list[str]) -> NoReturn:
    """Be an agent in this process, which was just forked."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        agent.main(words, prog_name="fabric-agent")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - it ends here, and says why
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Internal: asks the minions of a Salt master, run by Salt's own interpreter.

`salt_driver.py CONFIG NODES`: waits for all minions, says "ready"; then for each line, a command, prints
in one line what it printed on every minion, a number of nanoseconds; "-" for one that did not answer in time.
"""

import sys
import time

import salt.client  # type: ignore[import-not-found]
import salt.exceptions  # type: ignore[import-not-found]

PATIENCE_S = 600


def main() -> None:
    """Wait, then serve."""
    nodes = int(sys.argv[2])
    until_s = time.monotonic() + PATIENCE_S
    while len(_answers(client := salt.client.LocalClient(c_path=sys.argv[1]))) < nodes:
        if time.monotonic() > until_s:  # a client that was made before the master was there stays deaf
            raise SystemExit("the minions did not come")
        time.sleep(1)
    print("ready", flush=True)
    for line in sys.stdin:
        answers = client.cmd("*", "cmd.run", [line.strip()], timeout=60)
        said = [str(answer) for answer in answers.values()]
        print(*(text if text.isdigit() else "-" for text in said), flush=True)


def _answers(client: "salt.client.LocalClient") -> dict[str, bool]:
    try:
        return dict(client.cmd("*", "test.ping", timeout=10))
    except salt.exceptions.SaltClientError:
        return {}


if __name__ == "__main__":
    main()

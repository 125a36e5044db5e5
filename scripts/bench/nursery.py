#!/usr/bin/env python3
"""Forks agents from one process: their imports, a third of a second each, are done once, and shared.

Each line of stdin is a JSON list: a file for stderr, and the words of a `fabric-agent`.  It ends when stdin
does, or by SIGTERM, with all that it has started.
"""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress

from agents import run  # noqa: F401 - with all that it imports
from agents.cli import main as agent

PR_SET_PDEATHSIG = 1


def become_agent(log: str, words: list[str]) -> None:
    """Be an agent in this process, which was just forked."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    agent.main(words, prog_name="fabric-agent")


def end(children: list[int]) -> None:
    """End the agents, and wait for them."""
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    for child in children:
        os.waitpid(child, 0)


def main() -> None:
    """Fork as told."""
    children: list[int] = []

    def stop(*_: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    try:
        for line in sys.stdin:
            log, *words = json.loads(line)
            child = os.fork()
            if child == 0:
                children.clear()
                become_agent(log, words)
            children.append(child)
    finally:
        end(children)


if __name__ == "__main__":
    main()

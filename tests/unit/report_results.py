"""Result documents for the tests of the reports."""

from typing import Any

STARTED = 1_772_360_527.25


def step(**values: Any) -> dict[str, Any]:
    """Return a step that passed."""
    return {
        "cell": 0,
        "repeat": 1,
        "phase": "run",
        "role": "client",
        "step": "client-1",
        "node": "lab3",
        "attempt": 1,
        "state": "finished",
        "line": 12,
        "verb": "cmd",
        "command": "iperf3 -c $server",
        "started": STARTED + 1,
        "reason": "exited",
        "failed": False,
        "exit_code": 0,
        "signal": None,
        "message": "exit 0",
        "duration_s": 2.125,
    } | values


def failed(**values: Any) -> dict[str, Any]:
    """Return a step that failed."""
    return step(**({"failed": True, "exit_code": 3, "message": "exit 3", "last": ["one", "two"]} | values))


def phase(**values: Any) -> dict[str, Any]:
    """Return a phase that is over."""
    ended = {"t0": STARTED + 0.5, "ended": STARTED + 4, "failed": False, "skew_s": 0.0003}
    return {"cell": 0, "repeat": 1, "phase": "run", **ended, "skew_bound_s": 0.0001, "aborted": []} | values


def result(*steps: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return a result document."""
    return {
        "format": 1,
        "run": "20260301-102207-ping-k3f9",
        "name": "ping",
        "file": "trial.toml",
        "verdict": "pass",
        "exit_code": 0,
        "why": [],
        "started": STARTED,
        "duration_s": 5.5,
        "repeats": 1,
        "phases": [phase()],
        "steps": list(steps),
        "nodes": {},
    } | values


CHECK = {
    "metric": "throughput",
    "kind": "min",
    "limit": 9e9,
    "limit_text": "9 Gbit/s",
    "unit": "bit/s",
    "cell": 0,
    "repeat": 1,
    "value": 8.1e9,
    "ok": False,
}
METRIC = {
    "name": "throughput",
    "unit": "bit/s",
    "cells": [{"cell": 0, "n": 3, "median": 8.1e9, "mean": 8e9, "min": 7e9, "max": 9e9, "stdev": None}],
}

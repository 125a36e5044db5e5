"""Findings of a doctor on stdout, as they come."""

import json
from collections.abc import Iterable

import click

from fabric.cli.options import wants_color
from fabric.doctor.findings import Finding, exit_code, lines_of

_COLORS = {"ok": "green", "warn": "yellow", "bad": "red"}


def tell(findings: Iterable[Finding], *, as_json: bool = False, quiet: bool = False) -> int:
    """Print each finding when it is there, and return the exit code.

    Args:
        findings: A line each.
        as_json: As objects, for programs.
        quiet: Leave out what is good.
    """
    import sys

    colors = wants_color(sys.stdout)
    found = []
    for one in findings:
        found.append(one)
        if quiet and one.state == "ok":
            continue
        for line in [json.dumps(one.as_json())] if as_json else lines_of(one):
            mark, rest = line[:4], line[4:]
            color = _COLORS.get(mark.strip()) if colors and not as_json else None
            click.echo((click.style(mark, fg=color) if color else mark) + rest)
    return exit_code(found)

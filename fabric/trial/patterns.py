r"""Regular expressions of a trial: what `metric.NAME.regex` and `ready.log` mean.

They are Python's, on text whose bytes were decoded as UTF-8; `^` and `$` stand at every line.
"""

import re
import warnings
from typing import Final

MAX_PATTERN_CHARS: Final = 2000
"""Longest expression: what is longer is a program, and belongs into the step."""


class PatternError(ValueError):
    """It is no such expression.  The text continues "`key` ..."; ``offset`` is the character, -1: all."""

    def __init__(self, message: str, hint: str = "", offset: int = -1) -> None:
        super().__init__(message)
        self.hint = hint
        self.offset = offset


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return an expression that was checked.

    Raises:
        re.error: If it was not.
    """
    return re.compile(text, re.MULTILINE)


def check(text: str, groups: int | None = None) -> None:
    """Make sure that an expression can be used.

    Args:
        text: The expression.
        groups: How many ( ) it has to have; None: any number.

    Raises:
        PatternError: If it does not compile, is too long, or has another number of groups.
    """
    if len(text) > MAX_PATTERN_CHARS:
        raise PatternError(f"is longer than the limit of {MAX_PATTERN_CHARS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = compile_pattern(text)
    except Warning as warning:  # what a later Python may read in another way
        hint = "a bracket that stands for itself is written \\[ or \\]"
        raise PatternError(f"is ambiguous: {warning}", hint) from None
    except (re.error, OverflowError, RecursionError) as error:
        what = error.msg if isinstance(error, re.error) else "it is too deep or too large"
        offset = error.pos if isinstance(error, re.error) and error.pos is not None else -1
        raise PatternError(f"is no regular expression: {what}", offset=offset) from None
    if groups is not None and found.groups != groups:
        number = f"{found.groups} groups" if found.groups else "no group"
        hint = "( ) stand around the number; (?: ) groups without counting, \\( is a parenthesis"
        raise PatternError(f"needs one group in ( ) for the number, it has {number}", hint)

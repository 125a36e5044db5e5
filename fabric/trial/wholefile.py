"""Errors about a trial file as a whole: what it is, how large, in which encoding."""

from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.tomltext import Excess
from fabric.trial.diagnostics import Diagnostic, TrialError


def whole_file(path: str, code: str, message: str, hint: str = "") -> TrialError:
    """Return an error that no line is to blame for."""
    one = Diagnostic(path=path, line=0, col=0, end_col=0, code=code, message=message, hint=hint)
    return TrialError([one])


def at_start(path: str, code: str, message: str, hint: str) -> TrialError:
    """Return an error about the first character."""
    one = Diagnostic(path=path, line=1, col=1, end_col=2, code=code, message=message, hint=hint)
    return TrialError([one])


def too_much(path: str, excess: Excess) -> TrialError:
    """Return an error about what a text has too much of."""
    one = Diagnostic(
        path=path,
        line=excess.line,
        col=excess.col,
        end_col=excess.end_col,
        code="E010",
        message=excess.message,
        source=excess.source,
        hint=excess.hint,
    )
    return TrialError([one])


def too_large(path: str) -> TrialError:
    """Return an error about the size of the file."""
    return whole_file(path, "E002", f"larger than the limit of {MAX_TEXT_BYTES // 1024} KiB for a trial")


def not_utf8(path: str, raw: bytes, start: int) -> TrialError:
    """Return an error about the first byte that is no UTF-8, at index ``start``."""
    before = raw[:start].decode()
    line = raw[before.encode().rfind(b"\n") + 1 :].split(b"\n")[0].decode(errors="replace")
    number, col = before.count("\n") + 1, len(before) - before.rfind("\n")
    one = Diagnostic(
        path=path,
        line=number,
        col=col,
        end_col=col + 1,
        code="E003",
        message=f"not UTF-8: byte 0x{raw[start]:02x}",
        hint="save it as UTF-8",
        source=line.rstrip("\r"),
    )
    return TrialError([one])

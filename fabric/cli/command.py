"""Commands and groups that end as all of ours do: a mistake is told in one line and a hint."""

import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from fabric.cli.entry import EXIT_INTERRUPTED
from fabric.cli.options import EXIT_UNEXPECTED, fail, is_unwritable, leave_closed_pipe

_EXIT_USAGE: Final = 2
_NUMBERS: Final = re.compile(r"is not a valid (?:(integer)|float)( range)?")
_DEVICES: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class Command(click.Command):
    """`click.Command` with our endings."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Be the program.  Click would print a mistake as four lines, and end with 1 for a closed pipe."""
        if not extra.setdefault("standalone_mode", True):
            return super().main(args, *rest, **extra)
        extra["standalone_mode"] = False
        open_standard_streams()
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="surrogateescape")  # a path is written as it was given
        try:
            code = super().main(args, *rest, **extra)
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and later: it is the help
                error.show()
                sys.exit(_EXIT_USAGE)
            fail(*told(error), _EXIT_USAGE)
        except click.Abort:  # of a question: nothing has been done yet
            sys.exit(EXIT_INTERRUPTED)
        sys.exit(code)  # of --help and --version; a command that comes back returns nothing

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and refuse what no message can say; only a path may be of any bytes."""
        rest = super().parse_args(ctx, args)
        for value in ctx.params.values():
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str):
                    check_text(text, ctx)
        return rest

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line, or print the help; who prints it may find that nobody reads."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError:
            leave_closed_pipe()
        except OSError as error:
            if not is_unwritable(error):
                raise
            fail(f"cannot write to stdout: {error.strerror}", "", EXIT_UNEXPECTED)


class Group(Command, click.Group):
    """`click.Group` with our endings, for itself and for what is made in it."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command line apart; an option that stands before its command is told where it belongs."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            for word in words:
                command = self.get_command(ctx, word)
                if command is not None and _has(command, error.option_name):
                    sentence = f"{error.option_name} stands behind the command, not before it"
                    way = f"write `{ctx.command_path} {word} {error.option_name} ...`"
                    raise click.UsageError(f"{sentence}\nhint: {way}", ctx) from None
            raise


def _has(command: click.Command, option: str) -> bool:
    """Whether a command, or one of its own, has an option."""
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return any(option in one.opts for each in (command, *inner) for one in each.params)


def check_text(text: str, context: click.Context) -> None:
    """Refuse what came as bytes that are not UTF-8; Python has them in an argument as lone surrogates.

    Raises:
        click.UsageError: If it has some.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = repr(os.fsencode(text))[1:]
        hint = "names and words are sent as text; bytes of another encoding can only be in a file"
        raise click.UsageError(f"{shown:.80} is not UTF-8\nhint: {hint}", context) from None


def told(error: click.ClickException) -> tuple[str, str]:
    """Return what to say of a mistake on the command line: a sentence, and the way out."""
    sentence, _, hint = _plain(error).partition("\nhint: ")
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return sentence, hint
    more = f"{context.command_path} --help says more"
    if hint:
        return sentence, hint
    if isinstance(error, click.MissingParameter) or "extra argument" in error.message:
        return sentence, f"{' '.join(context.get_usage().removeprefix('Usage: ').split())}; --help says more"
    close = _close(error, context)
    return sentence, f"did you mean {' or '.join(close)}?  {more}" if close else more


def _plain(error: click.ClickException) -> str:
    """Return the sentence without what is the hint's, and beginning as ours do."""
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name}"
    if isinstance(error, click.MissingParameter):
        return f"{error.param.human_readable_name if error.param is not None else 'an argument'} is missing"
    if isinstance(error, click.BadParameter) and error.param is not None:
        option = max(error.param.opts, key=len) if isinstance(error.param, click.Option) else ""
        variable = f" (from {error.param.envvar})" if _is_from_variable(error) else ""
        message = _NUMBERS.sub(_no_number, error.message.rstrip("."))
        return f"{option or error.param.human_readable_name}{variable}: {message}"
    text = error.message.rstrip(".")
    return text[:1].lower() + text[1:]


def _no_number(found: re.Match[str]) -> str:
    return "is no whole number" if found[1] else "is no number"


def _is_from_variable(error: click.BadParameter) -> bool:
    from click.core import ParameterSource

    if error.param is None or error.ctx is None or error.param.name is None:
        return False
    return error.ctx.get_parameter_source(error.param.name) is ParameterSource.ENVIRONMENT


def _close(error: click.ClickException, context: click.Context) -> Sequence[str]:
    """Return options or commands that are called nearly like what was given."""
    if isinstance(error, click.NoSuchOption):
        return sorted(error.possibilities or ())
    command = context.command
    name = getattr(error, "command_name", "")
    if not isinstance(command, click.Group) or not name:
        return ()
    from difflib import get_close_matches

    return get_close_matches(name, command.list_commands(context))


def open_standard_streams() -> None:
    """Open what the caller has closed (``>&-``) to nowhere: there is nobody to tell, and that is no error.

    Otherwise the next socket or file would get the number, and what is said would go into it.
    """
    for number, (name, mode) in enumerate(_DEVICES):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            got = os.open(os.devnull, os.O_RDWR)
            if got != number:
                os.dup2(got, number)
                os.close(got)
        setattr(sys, name, open(number, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
        setattr(sys, f"__{name}__", getattr(sys, name))

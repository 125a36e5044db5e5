"""What all commands share: their options, and how an error ends one.

Nothing here imports more than click, so that ``--help`` of every command is fast.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import click

from fabric import __version__
from fabric.cli.entry import EXIT_INTERRUPTED, leave
from fabric.errors import FabricError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

EXIT_PIPE_CLOSED: Final = 141
"""128 + SIGPIPE: what `cat` would end with when `head` has seen enough."""

EXIT_UNEXPECTED: Final = 3
"""An error in the fabric itself counts as the fabric's error, not as a failed test."""

_MOST_S: Final = 30 * 86_400


class _Option(click.Option):
    """An option whose variable is called like its flag: ``FABRIC_TAIL_FROM`` for ``--from``.

    Click would call it like the parameter of the function, and ``from`` can be none.
    """

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return what the variable says, if it is set."""
        self._name_variable(ctx)
        return super().resolve_envvar_value(ctx)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's lines in the help."""
        self._name_variable(ctx)
        return super().get_help_record(ctx)

    def _name_variable(self, context: click.Context) -> None:
        flag = next((name for name in self.opts if name.startswith("--")), None)
        if self.envvar is None and context.auto_envvar_prefix and flag:
            self.envvar = context.auto_envvar_prefix + flag.removeprefix("-").replace("-", "_").upper()


option = partial(click.option, cls=_Option, show_envvar=True)
"""`click.option` that shows in the help which FABRIC_* variable sets it."""


def settings(command: str = "") -> dict[str, Any]:
    """Return click's settings for a command, ``tail`` for fabric-tail, nothing for fabric itself.

    Every option can be set by a variable, ``FABRIC_TAIL_FOLLOW`` for ``--follow``; the names are the same
    whether the command was started as ``fabric-tail`` or as ``fabric tail``.
    """
    return {
        "auto_envvar_prefix": f"FABRIC_{command}".upper().rstrip("_"),
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    }


def broker_option(function: F) -> F:
    """Add ``--broker URL``, which is the same variable for all commands."""
    decorate = option(
        "--broker", metavar="URL", envvar="FABRIC_BROKER", help="Where the broker is: tcp://host:port."
    )
    return decorate(function)


def common_options(function: F) -> F:
    """Add ``--version``, ``-v`` and ``-q``; the command takes ``verbose`` and ``quiet``."""
    function = option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors.")(function)
    function = option("-v", "--verbose", is_flag=True, help="Log what happens; show the cause of an error.")(
        function
    )
    return click.version_option(__version__, "--version", message="%(prog)s %(version)s")(function)


def read_seconds(
    _context: click.Context, _parameter: click.Parameter, value: float | tuple[float, ...] | None
) -> float | tuple[float, ...] | None:
    """Return the seconds of an option, one number or several, up to 30 days each."""
    for number in value if isinstance(value, tuple) else (value,):
        if number is not None and not 0 <= number <= _MOST_S:  # also "nan", which is a number for click
            raise click.BadParameter(f"{number:g} is not between 0 and {_MOST_S}")
    return value


def assignment(text: str) -> tuple[str, str]:
    """Read ``ROLE=SPEC``, the value of ``--nodes``.

    Raises:
        UsageError: If it is none.
    """
    role, equals, spec = text.partition("=")
    if not equals or not spec:
        raise UsageError(f"--nodes {text!r:.80}: expected ROLE=SPEC", hint="like --nodes client=lab[1-4]")
    return role.strip(), spec.strip()


@contextmanager
def reported_errors() -> Iterator[None]:
    """End the command as its user expects: one line and a hint on stderr, and the error's exit code.

    ``--verbose`` of the command shows where an error came from.
    """
    is_early = signal.getsignal(signal.SIGINT) is leave
    try:
        if is_early:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        sys.stdout.flush()  # here, where a closed pipe is still caught
    except FabricError as error:
        fail(str(error), error.hint, error.exit_code, is_rendered=error.is_rendered)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        leave_closed_pipe()
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise  # click's own way to end
    except Exception as error:  # noqa: BLE001 - python would exit with 1, which says that a test failed
        if isinstance(error, OSError) and is_unwritable(error):
            fail(f"cannot write to stdout: {error.strerror}", "", EXIT_UNEXPECTED)
        sentence = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        fail(sentence, "" if _is_verbose() else "--verbose shows where it came from", EXIT_UNEXPECTED)
    finally:
        if is_early:
            signal.signal(signal.SIGINT, leave)


def print_error(error: FabricError) -> None:
    """Print an error as `reported_errors` does, where the command goes on."""
    _print(str(error), error.hint, is_rendered=error.is_rendered)


def _is_verbose() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.params.get("verbose"))


def fail(sentence: str, hint: str, exit_code: int, *, is_rendered: bool = False) -> NoReturn:
    """End the command with an error: one line, a hint if there is one, and the exit code."""
    if _is_verbose():
        import traceback

        traceback.print_exc()
    _print(sentence, hint, is_rendered=is_rendered)
    sys.exit(exit_code)


def _print(sentence: str, hint: str, *, is_rendered: bool) -> None:
    with suppress(OSError):  # stderr is full, or nobody reads it: the exit code tells it all the same
        click.echo(sentence if is_rendered else f"error: {sentence}", err=True)
        if hint:
            click.echo(f"hint: {hint}", err=True)


def is_unwritable(error: OSError) -> bool:
    """Whether an error is of what was to be printed: its disk is full, and no file of ours is named."""
    if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return where.startswith(("click.", "fabric.cli."))


def leave_closed_pipe() -> NoReturn:
    """Leave without a word: nobody reads.  The interpreter would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(EXIT_PIPE_CLOSED)


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done, which may write; a second one does not wait.

    For the main thread only.
    """
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if came:
        raise KeyboardInterrupt


def wants_color(stream: Any) -> bool:
    """Say whether text for people may be coloured: on a terminal, unless NO_COLOR is set."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and bool(stream.isatty())

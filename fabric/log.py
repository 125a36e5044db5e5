"""Logging for shells: `get_logger` at the top of a module costs nothing, `set_up` once in a command.

An event is ``noun_verb`` in the past tense, everything else is a key: ``log.info("peer_joined", name=name)``.
Events go to stderr; results of commands go to stdout and are no events.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple, Protocol

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: Final[dict[Level, int]] = {
    "debug": 10,
    "info": 20,
    "warning": 30,
    "error": 40,
}  # as logging has them


class Logger(Protocol):
    """What `get_logger` returns."""

    def debug(self, event: str, **values: object) -> None:
        """Report something that matters to who looks for a fault."""

    def info(self, event: str, **values: object) -> None:
        """Report something that an operator wants to see."""

    def warning(self, event: str, **values: object) -> None:
        """Report something that went wrong and that the program coped with."""

    def error(self, event: str, **values: object) -> None:
        """Report something that went wrong and costs a user something."""

    def exception(self, event: str, **values: object) -> None:
        """Report the exception that is being handled, with its traceback."""

    def bind(self, **values: object) -> "Logger":
        """Return a logger whose every event has these values too."""
        ...


def get_logger(**values: object) -> Logger:
    """Return a logger whose every event has ``values``.  Imports structlog at the first event only."""
    return _LateLogger(values)


def level_for(verbosity: int, usual: Level = "info") -> Level:
    """Return the level for a count of ``-v`` (each adds one) and ``-q`` (each takes one off)."""
    levels = list(_LEVELS)
    return levels[min(max(levels.index(usual) - verbosity, 0), len(levels) - 1)]


class Target(Protocol):
    """Where lines go: a text stream, or a log file."""

    def write(self, text: str, /) -> object:
        """Take one event, a line or several."""

    def flush(self) -> object:
        """Leave nothing behind."""

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        ...


def set_up(
    level: Level = "info", *, as_json: bool = False, stream: Target | None = None, in_words: bool = False
) -> None:
    """Send events of ``level`` and above to ``stream`` (default: stderr), one line each.

    Colours are for terminals and go away with ``NO_COLOR``.  Who then has nothing to say does not import
    structlog, which takes a tenth of a short command's time.  With ``in_words`` an event that has a
    ``sentence`` is that sentence: it stands among what a person reads.
    """
    _wishes.clear()
    _wishes.append(_Wish(level, as_json, stream, in_words))
    if "structlog" in sys.modules:
        _configure()


def set_up_command(*, verbose: bool, quiet: bool, stream: Target | None = None) -> None:
    """Do it for a command: what matters, in words; with ``verbose`` everything, as events."""
    set_up("debug" if verbose else "error" if quiet else "warning", stream=stream, in_words=not verbose)


class _Wish(NamedTuple):
    level: Level
    as_json: bool
    stream: Target | None
    in_words: bool


_wishes: Final[list[_Wish]] = []
"""What `set_up` was told last; empty before that."""


def _configure() -> None:
    """Tell structlog what `set_up` was told."""
    level, as_json, stream, in_words = _wishes[0]
    structlog = _import_structlog()
    target = stream if stream is not None else sys.stderr
    colors = target.isatty() and not os.environ.get("NO_COLOR")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(structlog, as_json=as_json, colors=colors, in_words=in_words),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=_Unbreakable(target)),
        cache_logger_on_first_use=False,  # so that a later set_up and structlog.testing reach every logger
    )


def _renderers(structlog: Any, *, as_json: bool, colors: bool, in_words: bool) -> list[Any]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    whole = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)

    def render(logger: object, method: str, event: dict[str, Any]) -> str:
        sentence = event.get("sentence") if in_words else None
        if sentence is None:
            return str(whole(logger, method, event))
        return f"\x1b[33m{sentence}\x1b[0m" if colors else str(sentence)  # yellow, as all warnings are

    return [_escaped, render]


def _escaped(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Write what cannot be seen as an escape: a peer's text must make no line, and no colour, of its own.

    JSON does so by itself, and tracebacks are made of lines.
    """
    return {
        name: _visible(value) if isinstance(value, str) and name not in _LINES else value
        for name, value in event.items()
    }


_LINES: Final = frozenset({"exception", "stack"})


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _LateLogger:
    """Fetches the real logger at every event, so that it follows the configuration of the moment."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def bind(self, **values: object) -> "_LateLogger":
        return _LateLogger(self._values | values)

    def __getattr__(self, method: str) -> Callable[..., None]:
        if method.startswith("_"):  # copy and pickle look for these
            raise AttributeError(method)
        if "structlog" not in sys.modules and _is_unwanted(method):
            return _say_nothing
        structlog = _import_structlog()
        if not structlog.is_configured():
            if not _wishes:
                set_up("warning")  # structlog's own default prints to stdout, among the results
            _configure()
        return getattr(structlog.get_logger(**self._values), method)  # type: ignore[no-any-return]


def _is_unwanted(method: str) -> bool:
    """Whether nobody wants events of this level; of other methods structlog knows more."""
    levels = {str(level): number for level, number in _LEVELS.items()}
    return bool(_wishes) and method in levels and levels[method] < _LEVELS[_wishes[0].level]


def _say_nothing(_event: str, **_values: object) -> None:
    """Stand for a method whose events nobody wants to see."""


class _Unbreakable:
    """A stream whose reader may go away: a closed stderr must not end a broker."""

    def __init__(self, stream: Target) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the file object itself is closed
            pass

    def flush(self) -> None:
        """Nothing to do: `write` flushes, so that a crash takes no event with it."""


def _import_structlog() -> Any:
    loaded = sys.modules.get("structlog")
    if loaded is not None:
        return loaded
    with _without_ballast():
        import structlog
    return structlog


@contextmanager
def _without_ballast() -> Iterator[None]:
    """Import structlog without two large modules that it takes along and that we never use through it.

    ``rich`` is for colourful tracebacks and optional there, so its import may fail.  ``asyncio`` (with ssl)
    serves methods like ``ainfo`` only, so a stand-in does.  Both are as before when structlog is loaded.
    Measured on an idle process with zmq, msgpack and structlog: resident 29.1 MB without this, 18.3 MB with
    it; private 17.1 and 9.8 MB.
    """
    stand_ins = {
        "rich": None,
        "asyncio": _StandIn("asyncio"),
    }  # None: Python's way to say "cannot be imported"
    used = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(used)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in used:
            del sys.modules[name]


class _StandIn(ModuleType):
    """A module that is imported when something of it is first used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for these
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)

"""Lines of shell that only name a program and its words: what the shell would execute.  Pure.

A shell that has to be executed, to read its line and to execute the program takes its time after the instant
of the start.  Where a line says no more than a list of words would, the program itself is armed instead;
whatever is not certain is left to the shell.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SHELL = ["/bin/sh", "-c"]

_BLANKS = " \t"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_NAME = frozenset(_LETTERS + "0123456789")
_PLAIN = frozenset(_LETTERS + "0123456789./:=,@%+-")
"""Characters that mean themselves, wherever they stand but for a `=` in the first word."""

_OF_A_SHELL = frozenset(
    {
        *("alias", "bg", "bind", "break", "builtin", "caller", "case", "cd", "chdir", "command", "compgen"),
        *(
            "complete",
            "compopt",
            "continue",
            "coproc",
            "declare",
            "dirs",
            "disown",
            "do",
            "done",
            "echo",
            "elif",
        ),
        *(
            "else",
            "enable",
            "esac",
            "eval",
            "exec",
            "exit",
            "export",
            "false",
            "fc",
            "fg",
            "fi",
            "for",
            "function",
        ),
        *(
            "getopts",
            "hash",
            "help",
            "history",
            "if",
            "in",
            "jobs",
            "kill",
            "let",
            "local",
            "logout",
            "mapfile",
        ),
        *(
            "popd",
            "printf",
            "pushd",
            "pwd",
            "read",
            "readarray",
            "readonly",
            "return",
            "select",
            "set",
            "shift",
        ),
        *(
            "shopt",
            "source",
            "stop",
            "suspend",
            "test",
            "then",
            "time",
            "times",
            "trap",
            "true",
            "type",
            "typeset",
        ),
        *("ulimit", "umask", "unalias", "unset", "until", "wait", "while", ".", ":"),
    }
)
"""Words that no shell looks up in the PATH."""

_ITS_OWN = frozenset(
    {
        *(
            "PWD",
            "OLDPWD",
            "PPID",
            "IFS",
            "OPTIND",
            "OPTARG",
            "PS1",
            "PS2",
            "PS4",
            "LINENO",
            "RANDOM",
            "SECONDS",
        ),
        *("UID", "EUID", "SHLVL", "_", "ENV", "PATH"),
    }
)
"""Variables that a shell sets, or for which it has another value than its environment."""


def words(line: str, env: Mapping[str, str]) -> list[str] | None:
    """Return the words of a line, or None if it takes a shell to know them.

    Args:
        line: As it is given to ``sh -c``.
        env: The environment of that shell.
    """
    if any(not _is_name(name) for name in env):
        return None  # a shell does not hand on what it cannot name
    reader = _Reader(line, env)
    try:
        found = reader.read()
    except _UncertainError:
        return None
    if not found or "=" in found[0] or not found[0] or found[0] in _OF_A_SHELL:
        return None
    return found


class _UncertainError(Exception):
    """It takes a shell."""


class _Reader:
    """Reads one line."""

    def __init__(self, line: str, env: Mapping[str, str]) -> None:
        self._line = line
        self._env = env
        self._at = 0
        self._words: list[str] = []
        self._word: str | None = None  # the present one; None: between two

    def read(self) -> list[str]:
        while char := self._next():
            if char in _BLANKS:
                self._end()
            elif char == "'":
                self._add(self._until("'"))
            elif char == '"':
                self._quoted()
            elif char == "$":
                self._split(self._value())
            elif char in _PLAIN:
                self._add(char)
            else:
                raise _UncertainError
        self._end()
        return self._words

    def _next(self) -> str:
        char = self._line[self._at : self._at + 1]
        self._at += 1
        return char

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _end(self) -> None:
        if self._word is not None:
            self._words.append(self._word)
            self._word = None

    def _until(self, end: str) -> str:
        start, self._at = self._at, self._line.find(end, self._at) + 1
        if not self._at:
            raise _UncertainError
        return self._line[start : self._at - 1]

    def _quoted(self) -> None:
        """Take what is in double quotes as it stands; only variables mean something there."""
        self._add("")
        while (char := self._next()) != '"':
            if not char or char in "\\`":
                raise _UncertainError
            self._add(self._value() if char == "$" else char)

    def _value(self) -> str:
        """Return the value of the variable whose name follows."""
        in_braces = self._line[self._at : self._at + 1] == "{"
        start = self._at = self._at + in_braces
        while self._line[self._at : self._at + 1] in _NAME:
            self._at += 1
        name = self._line[start : self._at]
        if in_braces and self._next() != "}":
            raise _UncertainError
        if not _is_name(name) or name in _ITS_OWN or name.startswith("BASH"):
            raise _UncertainError
        return self._env.get(name, "")

    def _split(self, value: str) -> None:
        """Take a value that is not in quotes: its blanks part words."""
        for char in value:
            if char in _BLANKS or char == "\n":
                self._end()
            elif char in _PLAIN:
                self._add(char)
            else:
                raise _UncertainError


def _is_name(text: str) -> bool:
    return bool(text) and text[0] in _LETTERS and all(char in _NAME for char in text)

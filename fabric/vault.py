"""Where the values of secrets come from: a file, a directory of files, or the environment of the user."""

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fabric.errors import FabricError, UsageError
from fabric.secretfile import read_private

PREFIX: Final = "FABRIC_SECRET_"
"""Begins the name of the variable that has a secret."""

MIN_BYTES: Final = 6
"""A shorter value would be masked out of innocent text, and can be guessed from what is left."""

MAX_BYTES: Final = 16 * 1024
"""A private key has 3 KiB.  What a node is told about a phase has to fit into a message."""

_CHANGE: Final = "and change them if others could log in here"
_PLACE: Final = re.compile(r"at [^)]*")


@dataclass(frozen=True, slots=True)
class Vault:
    """Looks secrets up by name.

    ``known`` has those of a file; files of ``folder`` have one each, and so have variables of ``environ``.
    """

    known: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: Path | None, environ: Mapping[str, str] = os.environ) -> "Vault":
        """Use a file or a directory, if there is one, and then the environment.

        Raises:
            UsageError: If it is not there, or not what it has to be; no message has anything of its content.
        """
        if path is None:
            return cls(environ=environ)
        if path.is_dir():
            return cls(folder=path, environ=environ)
        try:
            raw = read_private(path, "secrets", _CHANGE)
        except FabricError as error:
            raise UsageError(str(error), error.hint) from None
        if raw is None:
            raise UsageError(f"--secrets: there is no file {path}")
        return cls(known=_parsed(path, raw), environ=environ)

    def why_not(self, name: str) -> str:
        """Return why there is no secret of a name, or why its value cannot be one; "" if there is."""
        try:
            found = self._found(name)
        except UsageError as error:
            return str(error)
        if found is None:
            return f"there is no secret {name}"
        where, value = found
        size = len(value.encode("utf-8", "surrogateescape"))
        if size < MIN_BYTES:
            return f"secret {name} of {where} has {size} bytes: under {MIN_BYTES} it could not be masked"
        if size > MAX_BYTES:
            return f"secret {name} of {where} has {size} bytes, over the limit of {MAX_BYTES}"
        return f"secret {name} of {where} has a NUL character in it" if "\0" in value else ""

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """Return the values of secrets, by name.

        Raises:
            UsageError: If one of them is not there, or cannot be one.
        """
        values = {}
        for name in names:
            if why := self.why_not(name):
                raise UsageError(why, hint=f"give it with --secrets FILE, or as {PREFIX}{name}")
            found = self._found(name)
            assert found is not None, "why_not has looked"
            values[name] = found[1]
        return values

    def _found(self, name: str) -> tuple[str, str] | None:
        """Return where a secret comes from, and its value."""
        if name in self.known:
            return "the file", self.known[name]
        if self.folder is not None and (value := _read(self.folder, name)) is not None:
            return f"{self.folder}", value
        if (value := self.environ.get(PREFIX + name)) is not None:
            return f"{PREFIX}{name}", value
        return None


def _parsed(path: Path, raw: bytes) -> dict[str, str]:
    try:
        table = tomllib.loads(raw.decode())
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        where = _PLACE.search(str(error))
        hint = 'a line for each: NAME = "value"'
        # Without the rest of the sentence, and without its cause: they may have a part of the line.
        raise UsageError(f"{path} is not TOML{f' {where[0]}' if where else ''}", hint) from None
    for name, value in table.items():
        if not isinstance(value, str):
            raise UsageError(f"{path}: {name} needs a text in quotes", hint=f'like {name} = "value"')
    return table


def _read(folder: Path, name: str) -> str | None:
    """Return what a file of a directory has; its last end of a line does not count.

    Who may not enter the directory cannot read what is in it, whatever its own mode.
    """
    path = folder / name
    try:
        if not folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raw: bytes | None = path.read_bytes()
        else:
            raw = read_private(path, "a secret", f"or chmod 700 {folder}")
        text = None if raw is None else raw.decode()
    except FileNotFoundError:
        return None
    except FabricError as error:
        raise UsageError(f"{error}; {error.hint}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return text if text is None else text.removesuffix("\n").removesuffix("\r")

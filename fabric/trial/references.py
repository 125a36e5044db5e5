"""Checks the `$names` in the commands and values of a step against what will be there at run time."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.secrets import secrets_in
from fabric.trial.shellnames import used_in_shell, used_in_value
from fabric.trial.vocabulary import is_well_known

_SHELLS: Final = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})


class ReferenceChecker:
    """Knows the variables that are set for the commands of one trial."""

    def __init__(self, variables: Iterable[str], env: Mapping[str, str], problems: Problems) -> None:
        """Take the variables that the fabric and the matrix set, and those of [env]."""
        self._variables = frozenset(variables)
        self._env = frozenset(env)
        self._secrets = frozenset(secrets_in(env))
        self._problems = problems

    def check(self, where: Path, table: Mapping[str, Any]) -> None:
        """Note every name that nothing sets.  ``table`` is a step as read: its values may be of any type."""
        env = table.get("env")
        env = env if isinstance(env, dict) else {}
        own = self._env | frozenset(env)
        own_secrets = frozenset(secrets_in({name: it for name, it in env.items() if isinstance(it, str)}))
        secrets = (self._secrets - frozenset(env)) | own_secrets
        ready = table.get("ready")
        commands: list[tuple[Path, Any]] = [(("cmd",), table.get("cmd")), (("spawn",), table.get("spawn"))]
        commands.append((("ready", "cmd"), ready.get("cmd") if isinstance(ready, dict) else None))
        for key, command in commands:
            if isinstance(command, str):
                self._check_line((*where, *key), command, own)
            elif isinstance(command, list):
                self._check_list((*where, *key), command, own)
        for path, value in _values(table):
            # A step's own variables may be made of those of [env]; the rest of the step's own, too.
            known = self._variables | (self._env if path[0] == "env" else own)
            self._check_value((*where, *path), value, known, self._secrets if path[0] == "env" else secrets)

    def check_env(self, table: Any) -> None:
        """Note every name in [env] that nothing sets."""
        for name, value in table.items() if isinstance(table, dict) else ():
            self._check_value(("env", name), value, self._variables, frozenset())

    def _check_line(self, where: Path, command: str, own: frozenset[str]) -> None:
        for name, written in used_in_shell(command).items():
            if name in self._variables or name in own or is_well_known(name):
                continue
            otherwise = f"if the node sets it, write ${{{name}:-}}"
            hint = did_you_mean(name, sorted(self._variables | own), otherwise)
            self._problems.within_value(where, written, "W001", f"nothing sets ${name}", hint)

    def _check_list(self, where: Path, arguments: list[Any], own: frozenset[str]) -> None:
        if _calls_a_shell(arguments):
            return
        hint = "a list is run as it stands; write the command as one text, for the shell"
        for index, argument in enumerate(arguments):
            for name in used_in_value(argument) if isinstance(argument, str) else ():
                if name in self._variables or name in own:
                    message = f"${name} is not expanded in a list"
                    self._problems.at_value((*where, index), "W002", message, hint)

    def _check_value(self, where: Path, value: Any, known: Collection[str], secrets: Collection[str]) -> None:
        """Outside of commands the fabric expands the names itself, and knows only its own."""
        for name in used_in_value(value) if isinstance(value, str) else ():
            if name not in known:
                hint = did_you_mean(name, sorted(known), "write $$ for a dollar that stays one")
                self._problems.within_value(where, f"${name}", "E037", f"nothing sets ${name} here", hint)
            elif name in secrets:
                hint = f"let a command use it: there the shell expands ${name}, and the fabric never has it"
                message = f"${name} is a secret, which only programs are given"
                self._problems.within_value(where, f"${name}", "E054", message, hint)


def _calls_a_shell(arguments: list[Any]) -> bool:
    """Whether a list is something like `bash -e -c LINE`, where a shell does expand the names."""
    before = arguments[: arguments.index("-c")] if "-c" in arguments else []
    return any(isinstance(one, str) and one.rpartition("/")[2] in _SHELLS for one in before)


def _values(table: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the values of a step that the fabric expands, with their places in it."""
    yield ("dir",), table.get("dir")
    for outer, inner in (("ready", "file"), ("stdin", "file")):
        if isinstance(found := table.get(outer), dict):
            yield (outer, inner), found.get(inner)
    put, fetch, metrics, env = (table.get(key) for key in ("put", "fetch", "metric", "env"))
    for name, value in env.items() if isinstance(env, dict) else ():
        yield ("env", name), value
    for source, target in put.items() if isinstance(put, dict) else ():
        yield ("put", source), target
    yield ("fetch",), fetch
    for index, pattern in enumerate(fetch) if isinstance(fetch, list) else ():
        yield ("fetch", index), pattern
    for name, metric in metrics.items() if isinstance(metrics, dict) else ():
        if isinstance(metric, dict):
            yield ("metric", name, "file"), metric.get("file")

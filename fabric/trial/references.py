"""Checks the `$names` in the commands and values of a step against what will be there at run time."""

from collections.abc import Iterable, Mapping
from typing import Any

from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.shellnames import used_in_shell, used_in_value
from fabric.trial.vocabulary import VERBS, is_well_known


class ReferenceChecker:
    """Knows the variables that the fabric sets for the commands of one trial."""

    def __init__(self, variables: Iterable[str], problems: Problems) -> None:
        self._variables = frozenset(variables)
        self._problems = problems

    def check(self, where: Path, table: Mapping[str, Any]) -> None:
        """Note every name that nothing sets.  ``table`` is a step as read: its values may be of any type."""
        env = table.get("env")
        own = frozenset(env) if isinstance(env, dict) else frozenset()
        for verb in VERBS:
            command = table.get(verb)
            if isinstance(command, str):
                self._check_line((*where, verb), command, own)
            elif isinstance(command, list):
                self._check_list((*where, verb), command, own)
        for name, value in env.items() if isinstance(env, dict) else ():
            self._check_value((*where, "env", name), value)
        self._check_value((*where, "dir"), table.get("dir"))

    def _check_line(self, where: Path, command: str, own: frozenset[str]) -> None:
        for name, written in used_in_shell(command).items():
            if name in self._variables or name in own or is_well_known(name):
                continue
            otherwise = f"if the node sets it, write ${{{name}:-}}"
            hint = did_you_mean(name, sorted(self._variables | own), otherwise)
            self._problems.within_value(where, written, "W001", f"nothing sets ${name}", hint)

    def _check_list(self, where: Path, arguments: list[Any], own: frozenset[str]) -> None:
        if "-c" in arguments[:3]:
            return  # a shell that is called by its name does expand them
        hint = "a list is run as it stands; write the command as one text, for the shell"
        for index, argument in enumerate(arguments):
            for name in used_in_value(argument) if isinstance(argument, str) else ():
                if name in self._variables or name in own:
                    message = f"${name} is not expanded in a list"
                    self._problems.at_value((*where, index), "W002", message, hint)

    def _check_value(self, where: Path, value: Any) -> None:
        """Outside of commands the fabric expands the names itself, and knows only its own."""
        for name in used_in_value(value) if isinstance(value, str) else ():
            if name not in self._variables:
                hint = did_you_mean(name, sorted(self._variables), "write $$ for a dollar that stays one")
                self._problems.within_value(where, f"${name}", "E037", f"nothing sets ${name} here", hint)

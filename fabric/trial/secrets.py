"""PURE.  Secrets in a trial: a variable whose value is ``secret:NAME``.

The trial, its plan and everything that is stored have the name.  The value is known to who runs the trial,
and goes to the nodes whose steps want it; the fabric itself never puts it into anything else.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fabric.errors import UsageError
from fabric.trial.model import Trial, TrialStep
from fabric.trial.problems import Problems

PREFIX: Final = "secret:"

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
"""What a secret may be called: it is found in a variable of the environment, too."""

LookSecret = Callable[[str], str]
"""Says why there is no secret of a name, or why its value cannot be one; "" if there is."""

_EXAMPLE: Final = 'like TOKEN = "secret:API_TOKEN": letters, digits and `_`, at most 64'


def secret_name(value: str) -> str:
    """Return the name of the secret that a value as written stands for; "" if it is a plain value."""
    return value.removeprefix(PREFIX) if value.startswith(PREFIX) else ""


def secrets_in(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables whose values are secrets, each with the name of its secret."""
    return {name: secret for name, value in env.items() if (secret := secret_name(value))}


def secret_variables(trial: Trial, step: TrialStep) -> dict[str, str]:
    """Return the variables of a step that are secrets: those of [env], and over them its own."""
    if step.verb not in ("cmd", "spawn"):
        return {}
    return secrets_in({**trial.env, **step.env})


def secrets_of(trial: Trial) -> tuple[str, ...]:
    """Return the names of all secrets that steps of a trial want, in their order."""
    found = (name for step in trial.steps for name in secret_variables(trial, step).values())
    return tuple(dict.fromkeys(found))


def check_secrets(
    places: Iterable[tuple[tuple[str | int, ...], Any]], look: LookSecret | None, problems: Problems
) -> None:
    """Note the secrets that have a wrong name, and those that are not there.

    Args:
        places: Tables of variables as read, each with its place in the file.
        look: None: it does not matter whether they are there.
        problems: Where to note.
    """
    for where, env in places:
        for name, value in env.items() if isinstance(env, dict) else ():
            if isinstance(value, str) and value.startswith(PREFIX):
                _check((*where, name), value.removeprefix(PREFIX), look, problems)


def check_set(name: str, written: str, value: str) -> None:
    """Check another value for a variable, from the command line.

    Raises:
        UsageError: If it would give a secret away, or cannot be the name of one.
    """
    if secret_name(written) and not secret_name(value):
        hint = f"give that by --secrets or FABRIC_SECRET_{secret_name(written)}, or name another: secret:NAME"
        raise UsageError(f"--set {name}: it is a secret, and a command line can be read by everybody", hint)
    if value.startswith(PREFIX) and not NAME.fullmatch(secret_name(value)):
        raise UsageError(f"--set {name}: {secret_name(value)!r:.40} cannot be the name of a secret", _EXAMPLE)


def _check(where: tuple[str | int, ...], name: str, look: LookSecret | None, problems: Problems) -> None:
    if not NAME.fullmatch(name):
        problems.at_value(where, "E053", f"{name!r:.40} cannot be the name of a secret", _EXAMPLE)
    elif look is not None and (why := look(name)):
        hint = f'--secrets FILE with a line {name} = "...", or the variable FABRIC_SECRET_{name}'
        problems.at_value(where, "E053", why, hint)

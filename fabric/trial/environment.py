"""[env]: variables for every command of a trial."""

from collections.abc import Collection
from typing import Any

from fabric.trial.problems import Problems
from fabric.trial.reading import read_table
from fabric.trial.tables import EnvTable

_EXAMPLE = 'below [env] write NAME = "value"'


def read_env(raw: Any, taken: Collection[str], problems: Problems) -> dict[str, str]:
    """Return the variables as written, after noting what is wrong.

    Args:
        raw: [env] as read, or None.
        taken: Variables that the fabric and the matrix set.
        problems: Where to note.
    """
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.at_value(("env",), "E016", "`env` needs a table of variables", _EXAMPLE)
        return {}
    for name in raw:
        if name in taken:
            hint = "take another name; a single step may set it in its own `env`"
            problems.at_key(("env", name), "E033", f"${name} has a value already, for every command", hint)
    table = read_table(EnvTable, {"env": raw}, (), problems)
    return dict(table.env) if table else {}

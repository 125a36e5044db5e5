"""The words of the format: which are known, which come later, which a role must not be called."""

import re
from typing import Final

PHASES: Final = ("startup", "run", "collect", "reset")
"""Those of a trial that names no others, in their order."""

RESET: Final = "reset"
"""The phase that is always last, and always runs."""

VERBS: Final = ("cmd", "spawn", "put", "fetch", "stop", "wait")

PROGRAMS: Final = frozenset({"cmd", "spawn"})
"""Verbs that start a program."""

MAX_RETRIES: Final = 100
"""Most further attempts at a step: each has output files of its own."""

SETTING_SECTIONS: Final = ("trial", "nodes", "matrix", "env", "check")
"""Sections that are no phases."""

# The rest of the format: words that are right but cannot be served yet, so that nobody looks for a typo.
LATER_SECTIONS: Final = frozenset({"fault"})
LATER_VERBS: Final = frozenset({"use"})
LATER_STEP_KEYS: Final = LATER_VERBS | {"with"}
LATER_CHECK_KEYS: Final = frozenset({"drop"})

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

OWN_VARIABLES: Final = ("me", "my_name", "my_role", "my_index", "repeat")
"""What every command finds in its environment beside the roles' addresses."""

MAX_ROLE_CHARS: Final = 40
"""Longest name of a role: with "-" and a number it is the name of a step, which may have 63."""

WELL_KNOWN: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "TERM", "LANG", "LANGUAGE", "TZ"),
        *(
            "TMPDIR",
            "HOSTNAME",
            "MAIL",
            "EDITOR",
            "VISUAL",
            "PAGER",
            "DISPLAY",
            "NO_COLOR",
            "COLUMNS",
            "LINES",
        ),
        *("IFS", "PS1", "PS2", "PS4", "ENV", "CDPATH", "PPID", "LINENO", "OPTARG", "OPTIND", "UID", "EUID"),
        *(
            "RANDOM",
            "SECONDS",
            "FUNCNAME",
            "HISTFILE",
            "SHLVL",
            "SSH_CONNECTION",
            "SUDO_USER",
            "NOTIFY_SOCKET",
        ),
        *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy", "_"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"),
    }
)
"""Variables that programs or the shell give a meaning to: a role of that name would break them."""

_WELL_KNOWN_PREFIXES: Final = ("LC_", "LD_", "XDG_", "BASH", "PYTHON", "MALLOC_", "FABRIC_", "my_")


def is_well_known(variable: str) -> bool:
    """Whether a variable has a meaning for programs, the shell or the fabric."""
    return variable in WELL_KNOWN or variable in OWN_VARIABLES or variable.startswith(_WELL_KNOWN_PREFIXES)


def variables_of(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Return the variables that the fabric sets for the commands of a trial, beside the matrix's."""
    return (*OWN_VARIABLES, *(name for role in roles for name in (role, f"{role}_all")))

# Sourced by the other scripts: goes to the repository's root and makes .venv what pyproject.toml says.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Programs are started by the hundred: each would compile the sources again.
unset PYTHONDONTWRITEBYTECODE

# Prints a Python of 3.11 or newer; PYTHON=... names one.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        # Started, not only looked for: a version manager has names for Pythons that it does not have.
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: testfabric needs Python 3.11 or newer (PYTHON=/path/to/python names one)" >&2
    return 1
}

# Installs anew only if pyproject.toml or the place has changed: the stamp says for what .venv was made.
prepare_environment() {
    local python stamp
    stamp="$(pwd) $(sha256sum < pyproject.toml)"
    if [[ "$(cat .venv/installed-for 2> /dev/null)" == "$stamp" ]] && .venv/bin/python -c '' 2> /dev/null; then
        return
    fi
    python=$(find_python)
    echo "installing into .venv ... (takes a minute or two)" >&2
    .venv/bin/python -c 'import pip' 2> /dev/null || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
    echo "$stamp" > .venv/installed-for
}

prepare_environment

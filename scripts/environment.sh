# Sourced by the other scripts: `environment REQUIREMENT` makes .venv with this project in it.
# `environment .` installs what cogc needs to run, `environment '.[dev]'` also what its tests need.

find_python() {
    local name
    for name in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "${PYTHON:+$PYTHON does not do: }Python 3.11 or newer is needed; PYTHON=/path/to/python names one" >&2
    return 1
}

environment() {
    local python stamp path
    # What was installed, from what: while it stays the same there is nothing to do.
    stamp="$1 $(cksum <pyproject.toml)"
    if [ -x .venv/bin/cogc ] && grep -qxF "$stamp" .venv/installed 2>/dev/null; then
        return
    fi
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || return 1
        echo "making .venv with $python" >&2
        "$python" -m venv --clear .venv || {
            echo "\`$python -m venv\` failed; on Debian it is in the package python3-venv" >&2
            return 1
        }
    fi
    echo "installing $1" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable "$1" >&2
    # The import hook of setuptools would take 20 ms of every process here; .typing holds the same package as a folder.
    for path in .venv/lib/python*/site-packages/__editable__.cogc-*.pth; do
        [ ! -e "$path" ] || printf '%s\n' "$PWD/.typing" >"$path"
    done
    # What the tests need includes what running needs.
    case $1 in
        *dev*) printf '%s\n' "$stamp" "${stamp/'.[dev]'/.}" >.venv/installed ;;
        *) printf '%s\n' "$stamp" >.venv/installed ;;
    esac
}

#!/usr/bin/env bash
# Put uv into the checkout (.uv/), for machines that have none.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
    rm -rf .uv
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

command -v "$python" >/dev/null ||
    fail "$python is not there: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"
"$python" -c 'import ensurepip' 2>/dev/null ||
    fail "$python cannot make environments (no ensurepip): on Debian run  apt-get install python3-venv"
echo "setup: no uv on PATH: installing it into .uv/" >&2
"$python" -m venv .uv || fail "$python -m venv failed (see above)"
.uv/bin/pip install --quiet --disable-pip-version-check uv ||
    fail "pip could not install uv (see above); with a uv of your own: make UV=/path/to/uv ..."

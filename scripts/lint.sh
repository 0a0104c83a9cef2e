#!/usr/bin/env bash
# Style, format, types and import rules: all of them run, then the answer.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

check() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

check "ruff check" .venv/bin/ruff check .
check "ruff format" .venv/bin/ruff format --check .
check "mypy" .venv/bin/mypy
check "mypy of what users write" .venv/bin/mypy tests/typing
check "import rules" .venv/bin/lint-imports
if [ ${#failed[@]} -gt 0 ]; then
    printf 'lint: failed: %s\n' "${failed[*]}" >&2
    exit 1
fi

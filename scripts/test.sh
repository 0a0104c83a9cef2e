#!/usr/bin/env bash
# All tests, side by side, with coverage. Arguments go to pytest: scripts/test.sh tests/unit -k names
# Tests of engines wait more than they compute: two workers a processor.
# SPAWNERY_TEST_VENV: another environment than .venv.
# SPAWNERY_TEST_RETRY=1: a failed engine test runs once more by itself (scripts/retry_tests.py).
set -euo pipefail
cd "$(dirname "$0")/.."
workers=${SPAWNERY_TEST_WORKERS:-$(($(nproc) * 2))}
export SPAWNERY_TEST_PATIENCE=${SPAWNERY_TEST_PATIENCE:-120} # of the conformance kit, in seconds
python=${SPAWNERY_TEST_VENV:-.venv}/bin/python
command=("$python" -m pytest)
if [ "${SPAWNERY_TEST_RETRY:-}" = 1 ]; then
    command=("$python" scripts/retry_tests.py)
fi
exec "${command[@]}" -n "$workers" --dist worksteal --longest 10 --cov --cov-report=term "$@"

#!/usr/bin/env bash
# All tests, side by side, with coverage. Arguments go to pytest: scripts/test.sh tests/unit -k names
# Tests of engines wait more than they compute: two workers a processor.
set -euo pipefail
cd "$(dirname "$0")/.."
workers=${SPAWNERY_TEST_WORKERS:-$(($(getconf _NPROCESSORS_ONLN) * 2))}
export SPAWNERY_TEST_PATIENCE=${SPAWNERY_TEST_PATIENCE:-120} # of the conformance kit, in seconds
exec .venv/bin/pytest -n "$workers" --dist loadgroup --cov --cov-report=term "$@"

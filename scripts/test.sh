#!/usr/bin/env bash
# All tests, side by side, with coverage. Arguments go to pytest: scripts/test.sh tests/unit -k names
# Tests of engines wait more than they compute: two workers a processor.
set -euo pipefail
cd "$(dirname "$0")/.."
workers=${SPAWNERY_TEST_WORKERS:-$(($(getconf _NPROCESSORS_ONLN) * 2))}
exec .venv/bin/pytest -n "$workers" --dist loadgroup --cov --cov-report=term "$@"

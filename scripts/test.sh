#!/usr/bin/env bash
# All tests, side by side, with coverage. Arguments go to pytest: scripts/test.sh tests/unit -k names
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/pytest -n "${SPAWNERY_TEST_WORKERS:-logical}" --cov --cov-report=term "$@"

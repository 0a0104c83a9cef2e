#!/usr/bin/env bash
# Tests of the Kubernetes spawner with the oldest packages that its distribution takes, kubernetes and urllib3,
# in an environment of their own (.venv-oldest); all other tests run with those of uv.lock.
# Arguments go to pytest; without any: the unit tests, and a few Jobs on the cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
export SPAWNERY_TEST_VENV=.venv-oldest
requirements='
from importlib.metadata import requires
print(*(item for item in requires("spawnery-kubernetes") if item.startswith(("kubernetes", "urllib3"))), sep="\n")'
mapfile -t wanted < <(.venv/bin/python -c "$requirements")
UV_PROJECT_ENVIRONMENT=$SPAWNERY_TEST_VENV .venv/bin/uv sync --quiet --locked --all-packages --all-extras
.venv/bin/uv pip install --quiet --python "$SPAWNERY_TEST_VENV" --resolution lowest-direct \
    --upgrade-package kubernetes --upgrade-package urllib3 "${wanted[@]}"
.venv/bin/uv pip freeze --python "$SPAWNERY_TEST_VENV" 2>/dev/null | grep -E '^(kubernetes|urllib3)='
[ $# -gt 0 ] || set -- tests/unit/kubernetes tests/engines/kubernetes/access/test_access.py tests/engines/kubernetes/manifest/test_spawn.py
exec scripts/test.sh --no-cov "$@"

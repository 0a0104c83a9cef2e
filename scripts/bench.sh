#!/usr/bin/env bash
# Every benchmark in turn (never side by side: they would measure each other).
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob
found=(benchmarks/bench_*.py)
if [ ${#found[@]} -eq 0 ]; then
    echo "bench: there is no benchmarks/bench_*.py" >&2
    exit 1
fi
failed=0
for bench in "${found[@]}"; do
    echo "== $bench"
    .venv/bin/python "$bench" || failed=1
done
exit "$failed"

#!/usr/bin/env bash
# One job on this machine, then the dispatcher with an agent, in a state directory that is gone
# afterwards. On a terminal the dispatcher is yours to talk to; else it plays one conversation.
set -euo pipefail
cd "$(dirname "$0")/.."
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
# shellcheck disable=SC2046  # names of variables have no spaces
unset $(compgen -e SPAWNER) $(compgen -e DISPATCHER) # whatever this shell has set for another use
export SPAWNER_TYPE=local SPAWNERY_STATE_DIR="$state"

job=demo-$$
script='for i in 1 2 3; do echo "step $i of 3"; sleep 0.3; done; echo "done; leaving with 3"; exit 3'

say() { printf '\n$ %s\n' "$*"; }

say "SPAWNER_TYPE=local spawnery run --job-id $job --retention-seconds 60 -- sh -c '$script'"
code=0
.venv/bin/spawnery run --job-id "$job" --retention-seconds 60 -- sh -c "$script" </dev/null || code=$?
say "echo \$?"
echo "$code"

say "spawnery status $job"
.venv/bin/spawnery status "$job" || true
.venv/bin/spawnery rm "$job" >/dev/null

if [ "$code" -ne 3 ]; then
    echo "demo: the job leaves with 3 and spawnery left with $code: that is a bug" >&2
    exit 1
fi

say "spawnery-dispatcher chat"
.venv/bin/spawnery-dispatcher chat

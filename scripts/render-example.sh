#!/usr/bin/env bash
# Renders examples/third_party_spawner from templates/spawner-plugin: the template is the source.
set -euo pipefail
cd "$(dirname "$0")/.."
target=examples/third_party_spawner
rm -rf "$target"
.venv/bin/copier copy --quiet --defaults --data-file templates/spawner-plugin/example-answers.yml \
    templates/spawner-plugin "$target"

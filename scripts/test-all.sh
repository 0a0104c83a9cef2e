#!/usr/bin/env bash
# What .ci/run runs of the tests and what does not fit into it: all tests here, all tests as on a machine
# with Docker only, all Kubernetes suites with the oldest kubernetes package, and all Docker and Podman suites
# on newer engines. It takes more than an hour; every part runs, and those that failed are named at the end.
# The parts with another machine or engine need root on Debian.
set -uo pipefail
cd "$(dirname "$0")/.."
kubernetes_suites=(tests/unit/kubernetes tests/conformance/test_kubernetes.py tests/engines/kubernetes)
docker_suites=(tests/conformance/test_docker.py tests/engines/docker)
failed=()

part() { # part NAME COMMAND...: exit code 69 is for what this machine cannot have
    local name=$1 code=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 69 ] || failed+=("$name")
}

part "tests" scripts/test.sh
part "Docker only" scripts/bare-machine.sh --docker bash -c 'make setup && make test'
part "oldest kubernetes package" scripts/oldest-kubernetes.sh "${kubernetes_suites[@]}"
part "newer Docker, overlay2" scripts/newer-docker.sh test overlay2 "${docker_suites[@]}"
part "newer Docker, containerd" scripts/newer-docker.sh test containerd "${docker_suites[@]}"
part "newer Podman" scripts/newer-podman.sh test
if [ ${#failed[@]} -gt 0 ]; then
    (IFS=,; echo "failed: ${failed[*]}") >&2
    exit 1
fi

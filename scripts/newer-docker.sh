#!/usr/bin/env bash
# A second, newer Docker engine for the tests: Debian testing's (else sid's) docker.io in a chroot, with
# its own network, process and mount namespaces, data, bridge and socket. The system's engine is untouched.
#
#   scripts/newer-docker.sh start [overlay2|containerd]   prints DOCKER_HOST of the engine; running it again is quick
#   scripts/newer-docker.sh stop  [overlay2|containerd]   ends it and removes its data; the chroot stays
#   scripts/newer-docker.sh test  [overlay2|containerd] [PATH...]   starts it, runs the tests meant for it (or
#                                                         those of the paths), stops it
#
# The second word is the image store: overlay2 (the default), or containerd, on which newer engines start out.
# Exit code 69: this machine cannot have that engine (one line says why); CI goes on then. It needs root and
# Debian's archive. The chroot is kept in SPAWNERY_NEWER_DOCKER (default /var/cache/spawnery/newer-docker).
set -euo pipefail
readonly KIND=docker OLDEST=28.5 PROGRAM=$(readlink -f "$0")
readonly HOME_OF_ENGINE=${SPAWNERY_NEWER_DOCKER:-/var/cache/spawnery/newer-docker}

action=${1:-} store=${2:-overlay2}
case $action:$store in
    start:overlay2 | start:containerd | stop:overlay2 | stop:containerd | test:overlay2 | test:containerd) ;;
    inside:overlay2 | inside:containerd) ;; # called by start, in the engine's namespaces
    *)
        sed -n '5,8s/^# *//p' "$0" >&2
        exit 64
        ;;
esac
readonly NAME=spawnery-$store DATA=$HOME_OF_ENGINE/$store
readonly ADDRESS=unix:///run/$NAME/docker.sock
# shellcheck source=scripts/chroot-engine.sh
. "${PROGRAM%/*}/chroot-engine.sh"

version() { chroot "$ROOT" dockerd --version 2>/dev/null | sed -n 's/^Docker version \([0-9.]*\).*/\1/p'; }
answers() { docker -H "$ADDRESS" version --format '{{.Server.Version}}' 2>/dev/null; }
bring() { bring_root /usr/sbin/dockerd "$OLDEST" docker.io,iptables; }

start() {
    local running
    running=$(answers) && [ -n "$running" ] && return
    stop
    mkdir -p "$RUN" "$DATA"
    case $store in
        overlay2) echo '{"storage-driver": "overlay2", "features": {"containerd-snapshotter": false}}' ;;
        containerd) echo '{"features": {"containerd-snapshotter": true}}' ;;
    esac >"$RUN/daemon.json"
    launch "$PROGRAM" inside "$store"
}

if [ "$action" = inside ]; then
    mkdir -p "$ROOT/etc/docker"
    enter_root /var/lib/docker
    exec chroot . docker-init -- dockerd --config-file "$RUN/daemon.json" -H "$ADDRESS" --data-root /var/lib/docker \
        --exec-root "$RUN/exec" -p "$RUN/pid" --cgroup-parent "$NAME"
fi
need
lock
case $action in
    start)
        bring
        start
        echo "$ADDRESS"
        ;;
    stop) stop ;;
    test)
        bring
        start
        trap stop EXIT
        printf 'newer docker: %s, image store %s\n' "$(answers)" "$store"
        cd "$(dirname "$PROGRAM")/.."
        suites=("${@:3}")
        [ ${#suites[@]} -gt 0 ] || suites=(
            tests/conformance/test_docker.py tests/engines/docker/test_seed.py tests/engines/docker/images/test_images.py
            tests/engines/docker/test_outcomes.py tests/engines/docker/identity/test_identity.py
        )
        DOCKER_HOST=$ADDRESS SPAWNERY_TEST_DOCKER_NETNS=$NAME scripts/test.sh --no-cov "${suites[@]}"
        ;;
esac

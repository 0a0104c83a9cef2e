#!/usr/bin/env bash
# A second, newer Podman for the tests: Debian testing's (else sid's) in a chroot; see chroot-engine.sh.
#
#   scripts/newer-podman.sh start            prints SPAWNERY_TEST_PODMAN, the address of its Docker API
#   scripts/newer-podman.sh stop             ends it and removes its data; the chroot stays
#   scripts/newer-podman.sh test [PATH...]   starts it, runs the tests of Podman (or those of the paths), stops it
#
# Exit code 69: this machine cannot have it (one line says why). It needs root and Debian's archive.
# The chroot is kept in SPAWNERY_NEWER_PODMAN (default /var/cache/spawnery/newer-podman).
set -euo pipefail
readonly KIND=podman OLDEST=5.0 PROGRAM=$(readlink -f "$0")
readonly HOME_OF_ENGINE=${SPAWNERY_NEWER_PODMAN:-/var/cache/spawnery/newer-podman}
readonly NAME=spawnery-podman DATA=$HOME_OF_ENGINE/data
readonly ADDRESS=unix:///run/$NAME/podman.sock
# shellcheck source=scripts/chroot-engine.sh
. "${PROGRAM%/*}/chroot-engine.sh"

version() { # it reads /proc
    unshare --mount --pid --fork -- sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" podman --version' sh "$ROOT" \
        2>/dev/null | sed -n 's/^podman version \([0-9.]*\).*/\1/p'
}
answers() { docker -H "$ADDRESS" version --format '{{.Server.Version}}' 2>/dev/null; }
# runc: crun refuses machines with both versions of cgroups.
bring() { bring_root /usr/bin/podman "$OLDEST" podman,runc,catatonit,netavark,aardvark-dns,nftables; }
start() {
    local running
    running=$(answers) && [ -n "$running" ] && return
    stop
    mkdir -p "$RUN" "$DATA"
    launch "$PROGRAM" inside
}

case ${1:-} in
    inside) # called by start, in the engine's namespaces
        enter_root /var/lib/containers
        exec chroot . catatonit -- podman --runtime runc system service --time 0 "$ADDRESS"
        ;;
    start | stop | test) ;;
    *)
        sed -n '4,6s/^# *//p' "$0" >&2
        exit 64
        ;;
esac
need
lock
[ "$1" != stop ] || { stop && exit; }
bring
start
[ "$1" = test ] || { echo "$ADDRESS" && exit; }
trap stop EXIT
printf 'newer podman: %s\n' "$(answers)"
cd "${PROGRAM%/*}/.."
suites=("${@:2}")
[ ${#suites[@]} -gt 0 ] || suites=(tests/conformance/test_podman.py tests/engines/docker/reach/test_podman.py)
SPAWNERY_TEST_PODMAN=$ADDRESS scripts/test.sh --no-cov "${suites[@]}"

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
export DEBIAN_FRONTEND=noninteractive
readonly OLDEST=28.5 UNAVAILABLE=69
readonly HOME_OF_ENGINE=${SPAWNERY_NEWER_DOCKER:-/var/cache/spawnery/newer-docker}
readonly PROGRAM=$(readlink -f "$0")

action=${1:-} store=${2:-overlay2}
case $action:$store in
    start:overlay2 | start:containerd | stop:overlay2 | stop:containerd | test:overlay2 | test:containerd) ;;
    inside:overlay2 | inside:containerd) ;; # called by start, in the engine's namespaces
    *)
        sed -n '5,8s/^# *//p' "$0" >&2
        exit 64
        ;;
esac
readonly NAME=spawnery-$store
readonly ROOT=$HOME_OF_ENGINE/root RUN=/run/$NAME DATA=$HOME_OF_ENGINE/$store
readonly ADDRESS=unix://$RUN/docker.sock

skip() {
    printf 'newer docker: not here: %s\n' "$*" >&2
    exit "$UNAVAILABLE"
}
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }
version() { chroot "$ROOT" dockerd --version 2>/dev/null | sed -n 's/^Docker version \([0-9.]*\).*/\1/p'; }
answers() { docker -H "$ADDRESS" version --format '{{.Server.Version}}' 2>/dev/null; }

make_root() { # make_root SUITE: leaves no half-made chroot behind
    local draft=$HOME_OF_ENGINE/draft
    rm -rf --one-file-system "$draft" "$ROOT"
    mkdir -p "$HOME_OF_ENGINE"
    debootstrap --variant=minbase --include=docker.io,iptables "$1" "$draft" >"$HOME_OF_ENGINE/debootstrap.log" 2>&1 || return 1
    rm -rf "$draft"/var/cache/apt/archives/*.deb
    mv "$draft" "$ROOT"
}
bring_root() {
    local found suite
    [ -x "$ROOT/usr/sbin/dockerd" ] && found=$(version) && at_least "$OLDEST" "${found:-0}" && return
    for suite in testing sid; do
        make_root "$suite" || continue
        found=$(version)
        at_least "$OLDEST" "${found:-0}" && return
    done
    skip "the archive gives no docker.io of version $OLDEST or later (see $HOME_OF_ENGINE/debootstrap.log)"
}

inside() { # in the engine's own mount and process namespaces
    mount --make-rprivate /
    mount --bind "$ROOT" "$ROOT"
    mount --rbind /dev "$ROOT/dev"
    mount --rbind /sys "$ROOT/sys"
    mount --rbind /tmp "$ROOT/tmp" # tests mount folders of theirs into jobs
    mount -t proc proc "$ROOT/proc"
    mkdir -p "$ROOT$RUN" "$ROOT/var/lib/docker" "$ROOT/etc/docker"
    mount --bind "$RUN" "$ROOT$RUN"
    mount --bind "$DATA" "$ROOT/var/lib/docker"
    cd "$ROOT"
    pivot_root . . # chroot alone is not enough: docker exec would see the machine's files
    umount -l .
    exec chroot . docker-init -- dockerd --config-file "$RUN/daemon.json" -H "$ADDRESS" --data-root /var/lib/docker \
        --exec-root "$RUN/exec" -p "$RUN/pid" --cgroup-parent "$NAME"
}

start() {
    local running
    running=$(answers) && [ -n "$running" ] && return
    stop
    mkdir -p "$RUN" "$DATA"
    case $store in
        overlay2) echo '{"storage-driver": "overlay2", "features": {"containerd-snapshotter": false}}' ;;
        containerd) echo '{"features": {"containerd-snapshotter": true}}' ;;
    esac >"$RUN/daemon.json"
    ip netns add "$NAME"
    ip -n "$NAME" link set lo up
    # Its end takes containerd, shims and jobs along: they live in its process namespace.
    setsid nsenter --net="/var/run/netns/$NAME" -- unshare --mount --pid --fork --kill-child "$PROGRAM" inside "$store" \
        >"$RUN/log" 2>&1 </dev/null 9>&- &
    echo $! >"$RUN/unshare.pid"
    local until=$((SECONDS + 90))
    until [ -n "$(answers)" ]; do
        if [ "$SECONDS" -ge "$until" ] || ! kill -0 "$(cat "$RUN/unshare.pid")" 2>/dev/null; then
            printf 'newer docker: it does not start:\n' >&2
            tail -5 "$RUN/log" >&2
            exit 1
        fi
        sleep 0.2
    done
}

stop() {
    local pid group
    if [ -f "$RUN/unshare.pid" ]; then
        pid=$(cat "$RUN/unshare.pid")
        if grep -qa "newer-docker.sh" "/proc/$pid/cmdline" 2>/dev/null; then
            kill -KILL "$pid" # unshare heeds no other signal
            for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
        fi
    fi
    ip netns delete "$NAME" 2>/dev/null || true
    for group in /sys/fs/cgroup/"$NAME" /sys/fs/cgroup/*/"$NAME"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    rm -rf --one-file-system "$RUN" "$DATA"
}

[ "$action" != inside ] || inside
[ "$(id -u)" -eq 0 ] || skip "it needs root"
for program in debootstrap docker ip nsenter unshare setsid; do
    command -v "$program" >/dev/null || skip "$program is missing (make engines)"
done
exec 9>"/var/lock/$NAME.lock"
flock 9
case $action in
    start)
        bring_root
        start
        echo "$ADDRESS"
        ;;
    stop) stop ;;
    test)
        bring_root
        start
        trap stop EXIT
        printf 'newer docker: %s, image store %s\n' "$(answers)" "$store"
        cd "$(dirname "$PROGRAM")/.."
        suites=("${@:3}")
        [ ${#suites[@]} -gt 0 ] || suites=(
            tests/conformance/test_docker.py tests/engines/docker/test_seed.py tests/engines/docker/test_images.py
            tests/engines/docker/test_outcomes.py tests/engines/docker/test_identity.py
        )
        DOCKER_HOST=$ADDRESS SPAWNERY_TEST_DOCKER_NETNS=$NAME scripts/test.sh --no-cov "${suites[@]}"
        ;;
esac

# shellcheck shell=bash
# What newer-docker.sh and newer-podman.sh share (they source it): an engine of another Debian release in a chroot,
# with its own network, process and mount namespaces, data and socket. The system's engine is untouched.
#
# Set before: KIND (docker, podman), HOME_OF_ENGINE (folder of the chroot), NAME (of the engine: its network
# namespace, its folder in /run, its cgroup), DATA (folder of its data), and the functions version (of the engine
# in the chroot) and answers (version of the engine that runs; fails while it does not answer).
export DEBIAN_FRONTEND=noninteractive
readonly UNAVAILABLE=69
readonly ROOT=$HOME_OF_ENGINE/root RUN=/run/$NAME

skip() {
    printf 'newer %s: not here: %s\n' "$KIND" "$*" >&2
    exit "$UNAVAILABLE"
}
need() { # need PROGRAM...: root and these programs, else skip
    local program
    [ "$(id -u)" -eq 0 ] || skip "it needs root"
    for program in debootstrap docker ip nsenter unshare setsid "$@"; do
        command -v "$program" >/dev/null || skip "$program is missing (make engines)"
    done
}
lock() {
    exec 9>"/var/lock/$NAME.lock"
    flock 9
}
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

make_root() { # make_root SUITE PACKAGES: leaves no half-made chroot behind
    local draft=$HOME_OF_ENGINE/draft
    rm -rf --one-file-system "$draft" "$ROOT"
    mkdir -p "$HOME_OF_ENGINE"
    debootstrap --variant=minbase --include="$2" "$1" "$draft" >"$HOME_OF_ENGINE/debootstrap.log" 2>&1 || return 1
    rm -rf "$draft"/var/cache/apt/archives/*.deb
    mv "$draft" "$ROOT"
}
bring_root() { # bring_root PROGRAM OLDEST PACKAGES: make the chroot unless it is there
    local found suite
    [ -x "$ROOT$1" ] && found=$(version) && at_least "$2" "${found:-0}" && return
    for suite in testing sid; do
        make_root "$suite" "$3" || continue
        found=$(version)
        at_least "$2" "${found:-0}" && return
    done
    skip "the archive gives no $KIND of version $2 or later (see $HOME_OF_ENGINE/debootstrap.log)"
}

enter_root() { # enter_root FOLDER: in the engine's own namespaces; its data is mounted at FOLDER
    mount --make-rprivate /
    mount --bind "$ROOT" "$ROOT"
    mount --rbind /dev "$ROOT/dev"
    mount --rbind /sys "$ROOT/sys"
    mount --rbind /tmp "$ROOT/tmp" # tests mount folders of theirs into jobs
    mount -t proc proc "$ROOT/proc"
    mkdir -p "$ROOT$RUN" "$ROOT$1"
    mount --bind "$RUN" "$ROOT$RUN"
    mount --bind "$DATA" "$ROOT$1"
    cd "$ROOT"
    pivot_root . . # chroot alone is not enough: exec into a job would see the machine's files
    umount -l .
}
launch() { # launch COMMAND...: runs it in namespaces of its own until the engine answers
    ip netns add "$NAME"
    ip -n "$NAME" link set lo up
    # Its end takes shims and jobs along: they live in its process namespace.
    setsid nsenter --net="/var/run/netns/$NAME" -- unshare --mount --pid --fork --kill-child "$@" \
        >"$RUN/log" 2>&1 </dev/null 9>&- &
    echo $! >"$RUN/unshare.pid"
    local until=$((SECONDS + 90))
    until [ -n "$(answers)" ]; do
        if [ "$SECONDS" -ge "$until" ] || ! kill -0 "$(cat "$RUN/unshare.pid")" 2>/dev/null; then
            printf 'newer %s: it does not start:\n' "$KIND" >&2
            tail -5 "$RUN/log" >&2
            exit 1
        fi
        sleep 0.2
    done
}
stop() { # end the engine with all its jobs, and remove its data
    local pid group
    if [ -f "$RUN/unshare.pid" ]; then
        pid=$(cat "$RUN/unshare.pid")
        if grep -qa "newer-$KIND.sh" "/proc/$pid/cmdline" 2>/dev/null; then
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

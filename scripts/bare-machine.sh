#!/usr/bin/env bash
# Run a command in a copy of this checkout as on a machine with nothing but coreutils, bash, make, git
# and Python: scripts/bare-machine.sh bash -c 'make setup && make test'
# It runs as nobody, without a network, a Docker socket or a variable of this shell. Packages come out
# of caches that are filled before. Needs root, for namespaces.
#   --docker    with the docker command, the socket of DOCKER_HOST (else the usual one), and busybox, of which
#               the tests make images; on the network of this machine
set -euo pipefail
cd "$(dirname "$0")/.."
user=nobody
group=nogroup

fail() {
    printf 'bare-machine: %s\n' "$*" >&2
    exit 1
}
docker=no
if [ "${1:-}" = --docker ]; then
    docker=yes
    shift
fi
[ "$(id -u)" -eq 0 ] || fail "needs root, to leave it: run it with sudo"
[ $# -gt 0 ] || fail "no command: scripts/bare-machine.sh make test"
if [ "$docker" = yes ]; then
    address=${DOCKER_HOST:-unix:///run/docker.sock}
    docker -H "$address" version >/dev/null 2>&1 || fail "--docker: no engine answers at $address: make engines"
    socket=$(readlink -f "${address#unix://}")
    [ -S "$socket" ] || fail "--docker: $address is not a unix socket"
fi

usable() { # a Python that makes environments, in a place that everybody may read
    command -v "$1" >/dev/null && setpriv --reuid "$user" --regid "$group" --clear-groups \
        "$1" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}
python=
for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
    if [ -n "$candidate" ] && usable "$candidate"; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no Python 3.11 with venv that $user may run: apt-get install python3 python3-venv"

place=$(mktemp -d /tmp/bare.XXXXXX)
trap 'rm -rf "$place"' EXIT
mkdir "$place/bin" "$place/home" "$place/repo" "$place/tmp" "$place/wheels"
tar --exclude='./.*' --exclude=__pycache__ -cf - . .github | tar -xf - -C "$place/repo"

# What it may use, and nothing else.
while read -r tool; do
    ln -s "$tool" "$place/bin/${tool##*/}"
done < <(dpkg -L coreutils | grep -E '^(/usr)?/bin/.')
for tool in bash sh make git; do
    ln -s "$(command -v "$tool")" "$place/bin/$tool"
done
ln -s "$python" "$place/bin/python3"

# Packages that it would download.
uv=$(command -v uv || echo "$PWD/.uv/bin/uv")
[ -x "$uv" ] || fail "there is no uv: make setup"
cp -a "$("$uv" cache dir)" "$place/uv-cache"
"$python" -m venv "$place/pip"
"$place/pip/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$place/wheels" uv
(
    cd "$place/repo"
    export UV_CACHE_DIR=$place/uv-cache UV_PROJECT_ENVIRONMENT=$place/pip
    "$uv" venv --quiet --clear --python "$python" "$place/pip"
    "$uv" sync --quiet --locked --all-packages --all-extras
)
rm -rf "$place/pip"
chown -R "$user:$group" "$place"

variables=(
    PATH="$place/bin" HOME="$place/home" TMPDIR="$place/tmp" LANG=C.UTF-8
    UV_CACHE_DIR="$place/uv-cache" UV_OFFLINE=1 PIP_NO_INDEX=1 PIP_FIND_LINKS="$place/wheels"
)
# Programs that tests find without PATH.
hidden=(/usr/sbin/sshd /usr/libexec/podman/catatonit)
namespaces=(--mount --pid --fork --kill-child --mount-proc)
groups=(--clear-groups)
if [ "$docker" = yes ]; then
    # The engine pulls from registries on our loopback, so the network stays; Redis listens there too.
    ln -s "$(command -v docker)" "$place/bin/docker"
    groups=(--groups "$(stat -c %g "$socket")")
    variables+=(SPAWNERY_TEST_REDIS=127.0.0.1:1)
    kept=$socket
else
    namespaces+=(--net)
    hidden+=(/usr/bin/busybox)
    kept=
fi
inside='
set -euo pipefail
ip link set lo up
mkdir "$1/run"
[ -z "$2" ] || { touch "$1/run/docker.sock" && mount --bind "$2" "$1/run/docker.sock"; }
mount --rbind "$1/run" /run # no socket of an engine, but the one that is kept
shift 2
while [ "$1" != -- ]; do
    [ ! -e "$1" ] || mount --bind /dev/null "$1"
    shift
done
shift
"$@"
'
cd "$place/repo"
unshare "${namespaces[@]}" -- \
    bash -c "$inside" inside "$place" "$kept" "${hidden[@]}" -- \
    setpriv --reuid "$user" --regid "$group" "${groups[@]}" env -i "${variables[@]}" "$@"

#!/usr/bin/env bash
# Bring the engines that the tests use: Docker and Redis (installed on a root Debian machine, started),
# a registry, an sshd and Podman (installed only: tests start their own), and a cluster from KUBECONFIG,
# SPAWNERY_TEST_CLUSTER, kind or k3d. Running it again is quick.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
missing=0

say() { printf 'engines: %s\n' "$*"; }
lack() {
    printf 'engines: %s\n' "$*" >&2
    missing=1
}
can_install() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; }
updated=no
install() {
    [ "$updated" = yes ] || apt-get update -qq
    updated=yes
    say "installing $*"
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null </dev/null
}
wait_for() { # wait_for SECONDS COMMAND...
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.3
    done
}

docker_answers() { docker info 2>/dev/null | grep -q '^Server Version\|Server Version:'; }
start_docker() {
    local pidfile=/var/run/docker.pid
    if [ -f "$pidfile" ] && [ "$(cat "/proc/$(cat "$pidfile")/comm" 2>/dev/null)" != dockerd ]; then
        rm -f "$pidfile" # left by a daemon that was killed
    fi
    setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
    wait_for 60 docker_answers && return
    tail -5 /var/log/dockerd.log >&2
    lack "dockerd does not answer (its log: /var/log/dockerd.log)"
}
bring_docker() {
    if docker_answers; then
        say "docker: answers"
        return
    fi
    if ! can_install; then
        lack "docker: not reachable; install Docker, start it and let this user use it: https://docs.docker.com/engine/install/"
        return
    fi
    if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null || ! command -v iptables >/dev/null; then
        install docker.io iptables
    fi
    docker_answers || start_docker
    docker_answers && say "docker: started"
}

redis_answers() { [ "$(redis-cli -h 127.0.0.1 ping 2>/dev/null)" = PONG ]; }
bring_redis() {
    if redis_answers; then
        say "redis: answers"
        return
    fi
    if ! command -v redis-server >/dev/null; then
        if ! can_install; then
            lack "redis: not reachable on 127.0.0.1:6379; install and start redis-server"
            return
        fi
        install redis-server
    fi
    redis_answers || redis-server --bind 127.0.0.1 --port 6379 --save '' --dir "${TMPDIR:-/tmp}" --daemonize yes >/dev/null
    wait_for 30 redis_answers || { lack "redis: started, but does not answer on 127.0.0.1:6379"; return; }
    say "redis: started"
}

bring_helpers() { # programs that the tests of the Docker spawner start themselves
    local missing_packages=()
    [ -x /bin/busybox ] || missing_packages+=(busybox-static)
    command -v ip >/dev/null || missing_packages+=(iproute2)
    command -v podman >/dev/null || missing_packages+=(podman)
    [ -x /usr/libexec/podman/catatonit ] || missing_packages+=(catatonit)
    command -v docker-registry >/dev/null || missing_packages+=(docker-registry)
    [ -x /usr/sbin/sshd ] || missing_packages+=(openssh-server)
    command -v debootstrap >/dev/null || missing_packages+=(debootstrap)
    command -v xz >/dev/null || missing_packages+=(xz-utils)
    command -v faketime >/dev/null || missing_packages+=(faketime)
    command -v openssl >/dev/null || missing_packages+=(openssl)
    if [ "${#missing_packages[@]}" -eq 0 ]; then
        say "registry, ssh, podman, faketime: there"
    elif can_install; then
        install "${missing_packages[@]}"
    else
        lack "tests of the Docker spawner: install ${missing_packages[*]}"
    fi
}

bring_compose() { # Debian's own is version 1; SPAWNERY_TEST_COMPOSE names an xz-packed plugin of version 2
    local plugin=$HOME/.docker/cli-plugins/docker-compose
    if docker compose version >/dev/null 2>&1; then
        say "docker compose: there"
    elif [ -n "${SPAWNERY_TEST_COMPOSE:-}" ]; then
        mkdir -p "${plugin%/*}"
        xz -dc "$SPAWNERY_TEST_COMPOSE" >"$plugin.draft"
        chmod +x "$plugin.draft"
        mv "$plugin.draft" "$plugin"
        say "docker compose: installed for this user"
    else
        lack "docker compose: version 2 is not installed: https://docs.docker.com/compose/install/linux/"
    fi
}

bring_cluster() {
    command -v kubectl >/dev/null || lack "kubectl: not installed: https://kubernetes.io/docs/tasks/tools/"
    if [ -n "${KUBECONFIG:-}" ]; then
        say "cluster: KUBECONFIG names $KUBECONFIG"
    elif [ -n "${SPAWNERY_TEST_CLUSTER:-}" ]; then
        say "cluster: up, kubeconfig $("$SPAWNERY_TEST_CLUSTER" up </dev/null | tail -1)"
    elif command -v kind >/dev/null; then
        kind get clusters 2>/dev/null | grep -qx spawnery-test || kind create cluster --name spawnery-test --wait 120s
        say "cluster: kind has spawnery-test"
    elif command -v k3d >/dev/null; then
        k3d cluster list spawnery-test >/dev/null 2>&1 || k3d cluster create spawnery-test --wait
        say "cluster: k3d has spawnery-test"
    else
        lack "cluster: none known; set KUBECONFIG, or install kind (https://kind.sigs.k8s.io) or k3d (https://k3d.io) and run make engines again"
    fi
}

if can_install; then
    exec 9>/var/lock/spawnery-engines.lock
    flock 9
fi
bring_docker 9>&-
bring_redis 9>&-
bring_helpers 9>&-
bring_compose 9>&-
bring_cluster 9>&-
[ "$missing" -eq 0 ] || say "what is missing above keeps its tests skipped; everything else is ready"

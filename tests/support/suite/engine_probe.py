"""Which real engines the tests can reach, and what to say where one is absent.

Outside the ``engine`` marker nothing here starts anything, except that the command which
``SPAWNERY_TEST_CLUSTER`` names is asked for its cluster (``up`` is idempotent).
"""

from __future__ import annotations

import fcntl
import functools
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CLUSTER_UP_SECONDS = 300.0
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What was found: where the engine is, or why there is none."""

    address: str | None = None
    reason: str = ""


class UnixHTTPConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, which is how a Docker daemon listens."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket at the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def docker_get(socket_path: str, path: str) -> tuple[int, bytes]:
    """Return status and body of one GET to the Docker daemon behind the socket."""
    connection = UnixHTTPConnection(socket_path)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def redis_ping(host: str, port: int) -> bytes:
    """Return what the Redis at that address answers to PING."""
    with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64)


def probe_docker(environ: Mapping[str, str]) -> Probe:
    """Look for a Docker daemon: ``DOCKER_HOST`` where it is a socket, else the usual path."""
    host = environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return Probe(reason=f"DOCKER_HOST={host} is not a unix socket")
    if shutil.which("docker") is None:
        return Probe(reason="the docker command is not installed")
    path = host.removeprefix("unix://")
    try:
        status, _ = docker_get(path, "/_ping")
    except OSError as error:
        return Probe(reason=f"no Docker daemon answers at {path} ({error})")
    if status != http.client.OK:
        return Probe(reason=f"the Docker daemon at {path} answers {status} to a ping")
    return Probe(address=path)


def probe_redis(environ: Mapping[str, str]) -> Probe:
    """Look for Redis at ``SPAWNERY_TEST_REDIS`` (host:port), else on the usual loopback port."""
    address = environ.get("SPAWNERY_TEST_REDIS", "127.0.0.1:6379")
    host, _, port = address.rpartition(":")
    try:
        answer = redis_ping(host, int(port))
    except OSError as error:
        return Probe(reason=f"no Redis answers at {address} ({error})")
    if not answer.startswith(b"+PONG"):
        return Probe(reason=f"what listens at {address} does not answer PING as Redis does")
    return Probe(address=address)


def probe_kubernetes(environ: Mapping[str, str]) -> Probe:
    """Look for a cluster: ``KUBECONFIG``, ``SPAWNERY_TEST_CLUSTER``, kind, k3d, in that order."""
    if shutil.which("kubectl") is None:
        return Probe(reason="kubectl is not installed (https://kubernetes.io/docs/tasks/tools/)")
    if environ.get("KUBECONFIG"):
        path = environ["KUBECONFIG"]
        if Path(path).is_file():
            return Probe(address=path)
        return Probe(reason=f"KUBECONFIG={path} is no file")
    if environ.get("SPAWNERY_TEST_CLUSTER"):
        return _cluster_up(environ["SPAWNERY_TEST_CLUSTER"])
    for tool, command in (
        ("kind", ["kind", "get", "kubeconfig", "--name", "spawnery-test"]),
        ("k3d", ["k3d", "kubeconfig", "get", "spawnery-test"]),
    ):
        if shutil.which(tool):
            return _kubeconfig_of(tool, command)
    return Probe(
        reason="no cluster is known: set KUBECONFIG, or install kind (https://kind.sigs.k8s.io) "
        "or k3d (https://k3d.io)"
    )


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | str:
    """Return what the command did, or in words why it did nothing."""
    try:
        return subprocess.run(
            command,
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CLUSTER_UP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} could not be run ({error})"


def _cluster_up(command: str) -> Probe:
    # Every xdist worker comes by here: one of them at a time.
    lock = Path(tempfile.gettempdir()) / f"spawnery-test-cluster-{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = _run([command, "up"])
        if not isinstance(done, str) and done.returncode:  # asked twice: it may have been changing
            done = _run([command, "up"])
    if isinstance(done, str):
        return Probe(reason=done)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return Probe(reason=f"`{command} up` left with {done.returncode}: {done.stderr[-400:]}")
    return Probe(address=lines[-1])


def _kubeconfig_of(tool: str, command: list[str]) -> Probe:
    done = _run(command)
    if isinstance(done, str):
        return Probe(reason=done)
    if done.returncode:
        return Probe(reason=f"{tool} is installed and has no cluster spawnery-test")
    folder = Path(tempfile.mkdtemp(prefix="spawnery-kubeconfig-"))
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(done.stdout)
    return Probe(address=str(path))


PROBES: Mapping[str, Callable[[Mapping[str, str]], Probe]] = {
    "docker": probe_docker,
    "redis": probe_redis,
    "kubernetes": probe_kubernetes,
}


@functools.cache
def probe(name: str) -> Probe:
    """Look for the engine of that name, once in this process.

    Raises:
        ValueError: there is no engine of that name.
    """
    if name not in PROBES:
        message = f"unknown engine {name!r}: choose from {', '.join(PROBES)}"
        raise ValueError(message)
    return PROBES[name](os.environ)

"""The Docker spawner under the conformance kit; looks behind it with the docker command."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from clocks import shifted
from docker_images import BUSYBOX, make_busybox
from spawnery.testing import Bench, FaultPoint
from spawnery.testing.proxy import TransportProxy

if TYPE_CHECKING:
    from spawnery.testing.commands import Words

_CONTAINERS = "/containers/"


def default_engine() -> str:
    """Return the address of the engine that the tests use: ``DOCKER_HOST``, else the usual one."""
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def docker(*arguments: str, address: str | None = None, check: bool = True) -> str:
    """Run the docker command on an engine, past the spawner; returns what it prints."""
    command = ["docker", "-H", address or default_engine(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


class DockerBench(Bench):
    """Containers of one engine; what one test sees is told by its name prefix.

    Args:
        folder: An empty folder for this test.
        address: Where the engine is; the one that the tests use when None.
        other: Starts another engine, or finds it started, and returns its address.
    """

    spawner_type = "docker"
    image = BUSYBOX
    faults_shared = True
    lingers: ClassVar[Mapping[str, Any]] = {"command": ["sh", "-c", "setsid sleep 600 & sleep 0.2"]}
    short_log: ClassVar[Mapping[str, str]] = {"SPAWNERY_DOCKER_LOG_MAX_BYTES": "500000"}
    fault_points: ClassVar[Mapping[str, FaultPoint]] = {
        "create": FaultPoint("POST", f"{_CONTAINERS}create"),
        "start": FaultPoint("POST", f"{_CONTAINERS}[^/]+/start"),
        "status": FaultPoint("GET", f"{_CONTAINERS}[^/]+/json"),
        "list": FaultPoint("GET", f"{_CONTAINERS}json"),
        "watch": FaultPoint("GET", "/events"),
        "logs": FaultPoint("GET", f"{_CONTAINERS}[^/]+/logs"),
        "stop": FaultPoint("POST", f"{_CONTAINERS}[^/]+/(stop|kill)"),
        "remove": FaultPoint("DELETE", _CONTAINERS),
    }

    def __init__(
        self,
        folder: Path,
        address: str | None = None,
        *,
        other: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(folder)
        self.address = address or default_engine()
        self._other = other
        self._addresses = [self.address]
        self._clock: Mapping[str, str] = {}
        make_busybox(self.address)
        self.prefix = f"k{self.instance.removeprefix('kit-')}"
        self.runs = folder / "runs"
        self.runs.mkdir(mode=0o777)
        self.runs.chmod(0o777)
        self._proxy = TransportProxy(self.address)
        self._silent = socket.create_server(("127.0.0.1", 0))

    @property
    def hangs(self) -> Mapping[str, Mapping[str, object]]:  # type: ignore[override]
        """Name an image whose registry takes a connection and never answers.

        An engine in a network namespace of its own does not reach it.
        """
        if os.environ.get("SPAWNERY_TEST_DOCKER_NETNS"):
            return {}
        registry = f"127.0.0.1:{self._silent.getsockname()[1]}"
        return {"pull": {"image": f"{registry}/kit/silent:1"}}

    def elsewhere(self) -> Mapping[str, str] | None:
        """Lead to the other engine."""
        if self._other is None:
            return None
        address = self._other()
        self._addresses.append(address)
        return {"DOCKER_HOST": address}

    def set_clock_ahead(self, seconds: float) -> bool:
        """Set the wall clock of our processes, by libfaketime."""
        self._clock = shifted(f"{seconds:+.0f}")
        return True

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Run the docker command on the engine itself; returns what it prints."""
        return docker(*arguments, address=self.address, check=check)

    def settings(self) -> Mapping[str, str]:
        """Lead the spawner through the proxy."""
        address = self._proxy.address
        return {"DOCKER_HOST": address, "SPAWNERY_DOCKER_ALLOW_PRIVILEGED": "1", **self._clock}

    @property
    def options(self) -> Mapping[str, Mapping[str, object]]:  # type: ignore[override]
        """Let each job reach the folder in which its runs are counted."""
        return {"docker": {"binds": [f"{self.runs}:/runs"]}}

    def counted(self, job_id: str) -> Words:
        """Return a program that leaves a line in a file of the test each time it runs."""
        return ("/bin/sh", "-c", f"echo run >>/runs/{shlex.quote(job_id)}; sleep 0.2")

    def runs_of(self, job_id: str) -> int:
        """Count these lines."""
        path = self.runs / job_id
        return len(path.read_text().splitlines()) if path.exists() else 0

    def objects(self) -> set[str]:
        """Name containers of this test, in every state, networks and volumes, in each engine."""
        mine, names = f"name={self.prefix}-", set()
        for address in self._addresses:
            listed = [("ps", "-a", "--format", "{{.Names}}")]
            listed += [(kind, "ls", "--format", "{{.Name}}") for kind in ("network", "volume")]
            for words in listed:
                names |= set(docker(*words, "--filter", mine, address=address).split())
        return names

    def plant_foreign(self, name: str) -> None:
        """Run a container of somebody else under the name."""
        self.docker("run", "-d", "--name", name, BUSYBOX, "sleep", "600")

    def foreign_untouched(self, name: str) -> bool:
        """Tell whether it runs."""
        shown = json.loads(self.docker("inspect", name, check=False) or "[]")
        return bool(shown) and bool(shown[0]["State"]["Running"])

    def kill_engine_side(self, job_id: str) -> None:
        """Remove the container of a running job by force."""
        self.docker("rm", "-f", self.name_of(job_id))

    def faults(self) -> TransportProxy:
        """Return the proxy before the engine."""
        return self._proxy

    def close(self) -> None:
        """Remove what is left of the test."""
        self._proxy.close()
        self._silent.close()
        for address in self._addresses:
            mine = ("--filter", f"name={self.prefix}-")
            left = docker("ps", "-aq", *mine, address=address).split()
            if left:
                docker("rm", "-f", "-v", *left, address=address, check=False)

"""One test's corner of a Docker engine: an instance and a name prefix of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from docker_images import BUSYBOX
from docker_jobs import docker
from job_calls import finished_program, output_of, polled
from spawnery.contract import LABEL_INSTANCE
from spawnery.model import JobSpec, JobState
from spawnery.spawner import Spawner
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy

T = TypeVar("T")
PATIENCE = 60.0


class DockerCase:
    """Environment, processes and containers of one test.

    Args:
        folder: For the state directory.
        address: The engine, ``unix:///path`` or ``tcp://host:port``.
    """

    def __init__(self, folder: Path, address: str) -> None:
        mark = secrets.token_hex(4)
        self.folder = folder
        self.address = address
        self.instance = f"case-{mark}"
        self.prefix = f"c{mark}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": address,
            "SPAWNER_TYPE": "docker",
            "SPAWNERY_STATE_DIR": str(folder / "state"),
            "SPAWNERY_INSTANCE": self.instance,
            "SPAWNERY_NAME_PREFIX": self.prefix,
            "SPAWNERY_SETTLE_SECONDS": "0.5",
            "DOCKER_NETWORK": "none",
        }
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_FILE"):
            if name in os.environ:
                self.environ[name] = os.environ[name]
        self._processes: list[subprocess.Popen[bytes]] = []

    # -- spawners ----------------------------------------------------------------------------

    @contextmanager
    def open(self, **variables: str) -> Iterator[Spawner]:
        """Open a spawner of this instance, with more variables."""
        with Spawner.open(environ={**self.environ, **variables}) as spawner:
            yield spawner

    def cli(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return finished_program(
            [sys.executable, "-m", "spawnery", *words],
            folder=self.folder,
            environ={**self.environ, **variables},
            patience=PATIENCE * 2,
        )

    def on_terminal(self, *words: str, **variables: str) -> str:
        """Run the command as on a terminal, and to its end; returns what a person sees."""
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as screen:
            process = subprocess.Popen(
                [sys.executable, "-m", "spawnery", *words],
                env={**self.environ, "TERM": "dumb", **variables},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
            )
            os.close(theirs)
            self._processes.append(process)
            shown = b"".join(_until_closed(screen))
        assert process.wait(PATIENCE) == 0, shown
        return shown.decode()

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a Python program of the instance in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, *words],
            env={**self.environ, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._processes.append(process)
        return process

    # -- past the spawner --------------------------------------------------------------------

    def docker(self, *words: str) -> str:
        """Run the docker command; returns what it prints."""
        return docker(self.address, *words)

    def inspect(self, job_id: str) -> dict[str, Any]:
        """Inspect the container of a job."""
        shown: list[dict[str, Any]] = json.loads(self.docker("inspect", f"{self.prefix}-{job_id}"))
        return shown[0]

    def containers(self) -> set[str]:
        """Name all containers with the instance's label, or with a name of the test."""
        found: set[str] = set()
        for mine in (f"label={LABEL_INSTANCE}={self.instance}", f"name=^/{self.prefix}-"):
            found |= set(
                self.docker("ps", "-a", "--filter", mine, "--format", "{{.Names}}").split()
            )
        return found

    def plant(self, job_id: str, *words: str) -> str:
        """Run a container of somebody else under a job's name; returns its id."""
        name = f"{self.prefix}-{job_id}"
        return self.docker("run", "-d", "--name", name, BUSYBOX, *(words or ("sleep", "600")))

    def close(self) -> None:
        """End processes that are left and remove what is left of the test."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=PATIENCE)
        left = self.containers()
        if left:
            docker_rm = ["docker", "-H", self.address, "rm", "-f", "-v", *left]
            subprocess.run(docker_rm, capture_output=True, check=False, timeout=PATIENCE)


def left_created(led: DockerCase, proxy: TransportProxy, *words: str, job_id: str = "one") -> str:
    """Kill a Python program when it asks to start the container of a job; returns its id.

    Args:
        led: Whose programs go through the proxy.
        proxy: Where the request for the start is held until the program is dead.
        words: The program, which spawns the job.
        job_id: The job.
    """
    asked, killed = threading.Event(), threading.Event()

    def hold(seen: Seen) -> None:
        if seen.path.endswith("/start"):
            asked.set()
            killed.wait(PATIENCE)
            raise ConnectionError

    proxy.on_request = hold
    process = led.start(*words)
    assert asked.wait(PATIENCE), process.communicate()
    process.kill()
    process.wait(PATIENCE)
    killed.set()
    proxy.on_request = None
    shown = led.inspect(job_id)
    assert shown["State"]["Status"] == "created"
    return str(shown["Id"])


def _until_closed(screen: IO[bytes]) -> Iterator[bytes]:
    """Read a terminal until no program has it any more."""
    with contextlib.suppress(OSError):  # EIO: the last one has closed it
        while piece := screen.read(4096):
            yield piece


class Events:
    """The engine's word on what was made and started, read while it happens: it keeps few.

    Args:
        case: Whose containers are looked at.
    """

    def __init__(self, case: DockerCase) -> None:
        self._case = case
        command = ["docker", "-H", case.address, "events", "--since", str(int(time.time()))]
        command += ["--filter", "event=create", "--filter", "event=start"]
        form = "{{.Actor.Attributes.name}} {{.Action}}"
        self._process = subprocess.Popen(
            [*command, "--filter", "type=container", "--format", form],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._seen: list[tuple[str, str]] = []

    def of(self, job_id: str) -> list[str]:
        """Return what has happened to a job's container so far: ``create`` and ``start``."""
        mark = f"{self._case.prefix}-mark{secrets.token_hex(4)}"
        self._case.docker("create", "--name", mark, BUSYBOX, "true")
        self._case.docker("rm", mark)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, action = line.split()
            self._seen.append((name, action))
            if name == mark:
                break
        return [action for name, action in self._seen if name == f"{self._case.prefix}-{job_id}"]

    def close(self) -> None:
        """End the reader."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)


def sh(script: str, **fields: Any) -> JobSpec:
    """Return a job that runs a script in busybox."""
    return JobSpec(image=BUSYBOX, command=["sh", "-c", script], **fields)


def eventually(probe: Callable[[], T], patience: float = PATIENCE) -> T:
    """Call something until it returns what is true, and return that."""
    return polled(probe, patience=patience, pause=0.05)


def running(spawner: Spawner, job_id: str) -> None:
    """Wait until a job runs."""
    eventually(lambda: spawner.status(job_id).state is JobState.RUNNING)


def output(spawner: Spawner, spec: JobSpec) -> str:
    """Run a job that succeeds; returns what it wrote."""
    return output_of(spawner, spec, patience=PATIENCE)

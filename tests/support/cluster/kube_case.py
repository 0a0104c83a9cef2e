"""One test's corner of a Kubernetes cluster: an instance and a name prefix of its own.

Everything that is tested runs as the account of ``deploy/kubernetes``, with its rights alone.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from docker_images import BUSYBOX
from job_calls import finished_program, output_of, polled
from kube_account import Account
from spawnery.contract import LABEL_INSTANCE
from spawnery.model import JobSpec, JobState, Resources
from spawnery.spawner import Spawner

T = TypeVar("T")
PATIENCE = 120.0


class KubeCase:
    """Environment, processes and objects of one test.

    Args:
        folder: For the state directory.
        account: Whom to be, and where.
        server: Address of a proxy before the cluster.
    """

    def __init__(self, folder: Path, account: Account, server: str | None = None) -> None:
        mark = secrets.token_hex(4)
        self.folder = folder
        self.account = account
        self.kubectl = account.kubectl
        self.namespace = account.namespace
        self.prefix = f"c{mark}"
        self.environ = account.environ(account.kubeconfig(server=server), self.prefix)
        self.instance = self.environ["SPAWNERY_INSTANCE"]
        self.environ["SPAWNERY_STATE_DIR"] = str(folder / "state")
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

    def name(self, job_id: str) -> str:
        """Return the name of a job's Job."""
        return f"{self.prefix}-{job_id}"

    def job(self, job_id: str) -> Any:
        """Return the Job of a job as the cluster has it."""
        return self.kubectl.get("job", self.name(job_id), "-n", self.namespace)

    def pods(self, job_id: str) -> list[Any]:
        """Return the pods of a job's Job, not those of an earlier one."""
        mine = f"batch.kubernetes.io/controller-uid={self.job(job_id)['metadata']['uid']}"
        found: list[Any] = self.kubectl.get("pod", "-n", self.namespace, "-l", mine)["items"]
        return found

    def objects(self) -> set[str]:
        """Name all Jobs, pods and Secrets with the instance's label, or with a name of the test."""
        found = self.kubectl.get("job,pod,secret", "-n", self.namespace)["items"]
        return {
            f"{item['kind']}/{item['metadata']['name']}"
            for item in found
            if item["metadata"].get("labels", {}).get(LABEL_INSTANCE) == self.instance
            or item["metadata"]["name"].startswith(f"{self.prefix}-")
        }

    def plant(self, job_id: str, **metadata: Any) -> Any:
        """Make a suspended Job of somebody else under a job's name; returns it."""
        container = {"name": "theirs", "image": BUSYBOX, "command": ["sleep", "600"]}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name(job_id), "namespace": self.namespace, **metadata},
            "spec": {"suspend": True, "template": template},
        }
        self.kubectl.apply(job)
        return self.job(job_id)

    def close(self) -> None:
        """End processes that are left and remove what is left of the test."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=PATIENCE)
        jobs = [name for name in self.objects() if name.startswith("Job/")]
        if jobs:
            self.kubectl("delete", "-n", self.namespace, "--ignore-not-found", *jobs)


def sh(script: str, **fields: Any) -> JobSpec:
    """Return a job that runs a script in busybox, and asks for little: tests run side by side."""
    little = Resources(cpu_request="10m", memory_request="16Mi")
    given = {"image": BUSYBOX, "command": ["sh", "-c", script], "resources": little}
    return JobSpec(**(given | fields))


def beside(kind: str, script: str, **fields: Any) -> dict[str, Any]:
    """Return the options of a job with another container in its pod, of this kind."""
    container = {"name": "other", "image": BUSYBOX, "command": ["sh", "-c", script], **fields}
    return {"kubernetes": {"patch": {"spec": {"template": {"spec": {kind: [container]}}}}}}


def eventually(probe: Callable[[], T], patience: float = PATIENCE) -> T:
    """Call something until it returns what is true, and return that."""
    return polled(probe, patience=patience, pause=0.1)


def running(spawner: Spawner, job_id: str) -> None:
    """Wait until a job runs."""
    eventually(lambda: spawner.status(job_id).state is JobState.RUNNING)


def output(spawner: Spawner, spec: JobSpec) -> str:
    """Run a job that succeeds; returns what it wrote."""
    return output_of(spawner, spec, patience=PATIENCE)

"""A Kubernetes spawner without core: what a hook returns and raises is what is looked at."""

from __future__ import annotations

from typing import Any

from docker_images import BUSYBOX
from kube_account import runtime_of
from kube_case import PATIENCE, KubeCase, eventually
from kube_request import request_of
from spawnery.contract import (
    Deadline,
    EngineClock,
    LogsRequest,
    RemoveRequest,
    SpawnRequest,
    StopRequest,
)
from spawnery.model import JobState, JobStatus, Resources
from spawnery_kubernetes.plugin import KubernetesSpawner
from spawnery_kubernetes.settings import KubernetesSettings

LITTLE = Resources(cpu_request="10m", memory_request="16Mi")


class Bare:
    """A spawner of a test's instance, and requests of it.

    Args:
        case: Whose instance, account and way to the cluster it has.
        runtime: Fields of the runtime.
        settings: Fields of the settings.
    """

    def __init__(
        self,
        case: KubeCase,
        *,
        runtime: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        given = {"kubeconfig": case.environ["SPAWNERY_KUBERNETES_KUBECONFIG"]} | settings
        self.case = case
        self.clock = EngineClock()
        host = {"name_prefix": case.prefix, "engine_clock": self.clock} | (runtime or {})
        self.spawner = KubernetesSpawner(
            KubernetesSettings(**given), runtime_of(case.folder, case.instance, **host)
        )

    def asked(self, script: str, **fields: Any) -> SpawnRequest:
        """Return the request of a job that runs a script."""
        job_id = fields.setdefault("job_id", "one")
        given = {"image": BUSYBOX, "command": ["sh", "-c", script], "resources": LITTLE}
        given |= {"instance": self.case.instance, "name": self.case.name(job_id), "seconds": 60}
        return request_of(**(given | fields))

    def status(self, job_id: str = "one") -> JobStatus:
        """Return the status of a job that is there."""
        found = self.spawner.status(job_id)
        assert found is not None
        return found

    def reaches(self, state: JobState, job_id: str = "one") -> JobStatus:
        """Wait for a state of a job."""
        eventually(lambda: self.status(job_id).state is state)
        return self.status(job_id)

    def stop(self, job_id: str = "one", **fields: Any) -> None:
        """Stop a job at once."""
        given = {"reason": "stop", "grace_seconds": 0, "deadline": Deadline.after(PATIENCE)}
        name = self.case.name(job_id)
        self.spawner.stop(StopRequest(job_id=job_id, name=name, **(given | fields)))

    def remove(self, job_id: str = "one", **fields: Any) -> None:
        """Remove a job."""
        given = {"deadline": Deadline.after(PATIENCE)}
        name = self.case.name(job_id)
        self.spawner.remove(RemoveRequest(job_id=job_id, name=name, **(given | fields)))

    def log(self, job_id: str = "one", **fields: Any) -> bytes:
        """Read a log to its end."""
        given = {"deadline": Deadline.after(PATIENCE)} | fields
        request = LogsRequest(job_id=job_id, name=self.case.name(job_id), **given)
        with self.spawner.logs(request) as chunks:
            return b"".join(chunk.data for chunk in chunks)

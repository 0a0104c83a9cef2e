"""The Kubernetes spawner under the conformance kit: a real cluster, faults in front of its API.

The spawner runs as the account of ``deploy/kubernetes``; whatever looks behind its back is somebody
else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import evolve
from clocks import shifted
from docker_images import BUSYBOX
from kube_foreign import foreign_job
from kube_place import KubePlace, new_prefix
from spawnery.model import JobSpec, Resources, SecretRef
from spawnery.testing import Bench, FaultPoint, eventually

if TYPE_CHECKING:
    from spawnery.testing.commands import Words
    from spawnery.testing.proxy import TransportProxy

_JOBS = "/apis/batch/v1/namespaces/[^/]+/jobs"
_PODS = "/api/v1/namespaces/[^/]+/pods"
_ONE = r"/[^/?]+(\?|$)"
_SIDECAR = {"name": "beside", "image": BUSYBOX, "command": ["sleep", "600"]}
_BESIDE = {"spec": {"template": {"spec": {"containers": [_SIDECAR]}}}}


class KubeBench(Bench):
    """Jobs in the namespace of this worker; what one test sees is told by its name prefix.

    Args:
        folder: An empty folder for this test.
        place: The namespace.
        second: Returns another namespace, made when it is first asked for.
    """

    spawner_type = "kubernetes"
    image = BUSYBOX
    faults_shared = True
    starts_at_once = True
    start_seconds = 30.0
    stuck: ClassVar[Mapping[str, Any]] = {
        "options": {"kubernetes": {"node_selector": {"kit.example/node": "none"}}}
    }
    lingers: ClassVar[Mapping[str, Any]] = {
        "command": ["sleep", "0.2"],
        "options": {"kubernetes": {"patch": _BESIDE}},
    }
    fault_points: ClassVar[Mapping[str, FaultPoint]] = {
        "create": FaultPoint("POST", rf"{_JOBS}(\?|$)"),
        "status": FaultPoint("GET", f"{_JOBS}{_ONE}"),
        "list": FaultPoint("GET", rf"{_JOBS}(\?(?!.*watch=)|$)"),
        "watch": FaultPoint("GET", "[?&]watch="),
        "logs": FaultPoint("GET", f"{_PODS}/[^/]+/log"),
        "stop": FaultPoint("PATCH", f"{_JOBS}{_ONE}"),
        "remove": FaultPoint("DELETE", f"{_JOBS}{_ONE}"),
    }

    def __init__(self, folder: Path, place: KubePlace, second: Callable[[], KubePlace]) -> None:
        super().__init__(folder)
        self.prefix = new_prefix("k")
        self._place = place
        self._second = second
        self._other: KubePlace | None = None
        self._proxy = place.proxy()
        self._plain: TransportProxy | None = None
        self._kubeconfig = place.kubeconfig(folder / "kubeconfig", self._proxy)
        self._clock: Mapping[str, str] = {}
        self._planted: dict[str, str] = {}

    def settings(self) -> Mapping[str, str]:
        """Lead the spawner through the proxy; missing images stay so, Secrets may come late."""
        return {
            "KUBECONFIG": self._kubeconfig,
            "SPAWNERY_KUBERNETES_PULL_GRACE_SECONDS": "1",
            "SPAWNERY_KUBERNETES_START_GRACE_SECONDS": "120",
            "SPAWNERY_KUBERNETES_ALLOW_PATCH": "1",
            **self._clock,
        }

    def elsewhere(self) -> Mapping[str, str]:
        """Lead to another namespace of the same cluster."""
        self._other = self._other or self._second()
        return {"KUBECONFIG": self._other.kubeconfig(self.folder / "kubeconfig-elsewhere")}

    def set_clock_ahead(self, seconds: float) -> bool:
        """Let the wall clock of processes be wrong by libfaketime.

        One that is behind believes no certificate of today, so there is none on its way.
        """
        self._plain = self._plain or self._place.proxy(plain=True)
        path = self.folder / "kubeconfig-plain"
        self._kubeconfig = self._place.kubeconfig(path, self._plain, plain=True)
        self._clock = shifted(f"{seconds:+g}s")
        return True

    def spec(self, command: Words, **fields: Any) -> JobSpec:
        """Make a spec; it requests little, so that many jobs have room on a small node."""
        spec = super().spec(command, **fields)
        asked = spec.resources or Resources()
        little = evolve(
            asked,
            cpu_request=asked.cpu_request or "10m",
            memory_request=asked.memory_request or "8Mi",
        )
        return evolve(spec, resources=little)

    def runs_of(self, job_id: str) -> int:
        """Count the pods of the job whose container was ever started."""
        return self._place.runs.of(self.name_of(job_id))

    def objects(self) -> set[str]:
        """Name the Jobs, pods and Secrets of this test, in the other namespace too."""
        here = self._place.names(f"{self.prefix}-")
        there = set() if self._other is None else self._other.names(f"{self.prefix}-")
        return here | {f"other {name}" for name in there}

    def plant_foreign(self, name: str) -> None:
        """Make a Job of somebody else under the name."""
        made = self._place.api.create("jobs", foreign_job(name))
        self._planted[name] = made["metadata"]["uid"]
        eventually(lambda: self._pods_of(name), message="the foreign Job has a pod")

    def foreign_untouched(self, name: str) -> bool:
        """Tell whether Job and pod are there, unmarked, and nobody has asked for their removal."""
        job = self._place.api.get("jobs", name)
        if job is None or job["metadata"]["uid"] != self._planted[name]:
            return False
        objects = [job, *self._pods_of(name)]
        meta = job["metadata"]
        keys = {*meta.get("labels", {}), *meta.get("annotations", {})}
        if len(objects) != 2 or any(key.startswith("spawnery.dev/") for key in keys):
            return False
        return not any("deletionTimestamp" in item["metadata"] for item in objects)

    def kill_engine_side(self, job_id: str) -> None:
        """Remove Job and pod of a running job at once; returns when they are gone."""
        name = self.name_of(job_id)
        pods = self._pods_of(name)
        self._place.api.delete("jobs", name, propagationPolicy="Background")
        for pod in pods:
            self._place.api.delete("pods", pod["metadata"]["name"], gracePeriodSeconds=0)
        eventually(lambda: not self._place.names(name), message=f"{name} and its pods are gone")

    def faults(self) -> TransportProxy:
        """Return the proxy before the API server."""
        return self._proxy

    def close(self) -> None:
        """Ask for the removal of what is left of the test."""
        self._proxy.close()
        if self._plain is not None:
            self._plain.close()
        self._place.sweep(f"{self.prefix}-")
        if self._other is not None:
            self._other.sweep(f"{self.prefix}-")

    def _pods_of(self, name: str) -> list[dict[str, Any]]:
        return [
            pod
            for pod in self._place.api.items("pods")
            if pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name") == name
        ]


class KubeSecretBench(KubeBench):
    """The same, with a Secret for each job: a spawn is two requests."""

    fault_points: ClassVar[Mapping[str, FaultPoint]] = {
        **KubeBench.fault_points,
        "start": FaultPoint("POST", r"/api/v1/namespaces/[^/]+/secrets(\?|$)"),
    }

    def settings(self) -> Mapping[str, str]:
        """Give the value of the secret to every process."""
        return {**super().settings(), "KIT_SECRET_VALUE": "a value that only this test has"}

    def spec(self, command: Words, **fields: Any) -> JobSpec:
        """Make a spec with a secret."""
        secrets = {"KIT_SECRET": SecretRef.environment("KIT_SECRET_VALUE")}
        return super().spec(command, **{"secrets": secrets, **fields})

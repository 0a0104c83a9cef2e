"""What would be sent to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spawnery.contract import Deadline, Plan, PlanRequest, SpawnRequest
from spawnery.model import PullPolicy, Security

from spawnery_kubernetes.check.trial import attempt
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.jobs.namespace import Namespace
from spawnery_kubernetes.manifest.secrets import values_of
from spawnery_kubernetes.objects.facts import CONTAINER
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.translate import job_of, refuse

_NONCE: Final = "xxxxxxxx"


class Planning:
    """Shows requests.

    Args:
        client: The cluster; asked only to validate.
        settings: Ours.
        namespace: Of all jobs.
    """

    def __init__(
        self, client: KubeClient, settings: KubernetesSettings, namespace: Namespace
    ) -> None:
        self._client = client
        self._settings = settings
        self._namespace = namespace

    def plan(self, request: PlanRequest, *, deadline: Deadline) -> Plan:
        """Return the Job; its secrets are masked already, and the cluster sees only the mask."""
        spawn = request.spawn
        refuse(spawn, self._settings)
        secret = f"{spawn.name}-{_NONCE}"
        by_cluster = self._namespace.assigns_user(ask=request.validate)
        job = job_of(
            spawn,
            self._settings,
            namespace=self._client.namespace,
            secret=secret,
            cluster_user=by_cluster,
        )
        notes = [*_notes(spawn, self._settings, secret, by_cluster=by_cluster), *_beside(job)]
        if not request.validate:
            return Plan(engine_object=job, notes=tuple(notes))
        found = attempt(self._client, job, deadline=deadline)
        problems = (*found.refused, *found.waits)
        return Plan(engine_object=job, notes=(*notes, *found.notes), problems=problems)


def _beside(job: Mapping[str, Any]) -> list[str]:
    """Say what outlives the program: Kubernetes waits for every plain container of a pod."""
    containers = job["spec"]["template"]["spec"]["containers"]
    names = ", ".join(c["name"] for c in containers if c["name"] != CONTAINER)
    if not names:
        return []
    note = (
        f"beside the job's container: {names}; the pod goes on until they have ended, its deadline"
        " is over, or any process of the instance looks (ps, status, wait, reap) and sees that the"
        " program has. A sidecar among initContainers with restartPolicy: Always ends with the"
        " program"
    )
    return [note]


def _notes(
    spawn: SpawnRequest, settings: KubernetesSettings, secret: str, *, by_cluster: bool
) -> list[str]:
    job = spawn.job
    policy = job.pull_policy or PullPolicy(settings.pull_policy)
    notes = [f"pull policy: {policy}"]
    if (job.security or Security.RESTRICTED) is Security.RESTRICTED:
        if job.user is None and by_cluster:
            notes.append("user: the cluster chooses it (user=UID)")
        elif job.user is None:
            notes.append("user 65532: Kubernetes does not know the image's own (user=UID)")
        if "HOME" not in {*spawn.env, *spawn.secrets}:
            notes.append("HOME /home/job: Kubernetes does not know the image's own (env.HOME=PATH)")
        if job.workdir is None:
            notes.append(
                "workdir /home/job: Kubernetes does not know the image's own (workdir=PATH)"
            )
    values = values_of(spawn)
    if values:
        keys = ", ".join(sorted(values))
        notes.append(f"then a Secret {secret}, owned by the Job, with {keys}")
    return notes

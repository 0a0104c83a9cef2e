"""What would be sent to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spawnery.contract import Deadline, Plan, PlanRequest, SpawnRequest
from spawnery.models import PullPolicy, Security

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.facts import CONTAINER
from spawnery_kubernetes.secrets import values_of
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.translate import job_of, refuse

_DRY_RUN: Final = {"dryRun": "All", "fieldValidation": "Strict"}
_NONCE: Final = "xxxxxxxx"
_POD_SECURITY: Final = "podsecurity"


class Planning:
    """Shows requests.

    Args:
        client: The cluster; asked only to validate.
        settings: Ours.
    """

    def __init__(self, client: KubeClient, settings: KubernetesSettings) -> None:
        self._client = client
        self._settings = settings

    def plan(self, request: PlanRequest, *, deadline: Deadline) -> Plan:
        """Return the Job; its secrets are masked already, and the cluster sees only the mask."""
        spawn = request.spawn
        refuse(spawn, self._settings)
        secret = f"{spawn.name}-{_NONCE}"
        job = job_of(spawn, self._settings, namespace=self._client.namespace, secret=secret)
        notes = [*_notes(spawn, self._settings, secret), *_beside(job)]
        if not request.validate:
            return Plan(engine_object=job, notes=tuple(notes))
        said, problems = self._validated(job, deadline=deadline)
        return Plan(engine_object=job, notes=(*notes, *said), problems=tuple(problems))

    def _validated(
        self, job: Mapping[str, Any], *, deadline: Deadline
    ) -> tuple[list[str], list[str]]:
        """Let the server look at a Job without making it: returns notes and problems."""
        path = self._client.path("jobs")
        try:
            reply = self._client.call(
                "POST", path, query=_DRY_RUN, body=job, timeout=deadline.remaining()
            )
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return [f"the cluster has not checked it: {error.message}"], []
            return [], [str(in_words(error, f"create the Job {job['metadata']['name']}"))]
        problems = [text for text in reply.warnings if _POD_SECURITY in text.lower()]
        warnings = [f"the cluster warns: {t}" for t in reply.warnings if t not in problems]
        return ["the cluster has checked it (dry run)", *warnings], problems


def _beside(job: Mapping[str, Any]) -> list[str]:
    """Say what outlives the program: Kubernetes waits for every plain container of a pod."""
    containers = job["spec"]["template"]["spec"]["containers"]
    names = ", ".join(c["name"] for c in containers if c["name"] != CONTAINER)
    if not names:
        return []
    note = (
        f"beside the job's container: {names}; the Job goes on until they have ended or a process"
        " of the instance (or spawnery reap) sees that the program has. A sidecar among"
        " initContainers with restartPolicy: Always ends with the program"
    )
    return [note]


def _notes(spawn: SpawnRequest, settings: KubernetesSettings, secret: str) -> list[str]:
    job = spawn.job
    policy = job.pull_policy or PullPolicy(settings.pull_policy)
    notes = [f"pull policy: {policy}"]
    if (job.security or Security.RESTRICTED) is Security.RESTRICTED:
        if job.user is None:
            notes.append("user 65532: Kubernetes does not know the image's own (--user)")
        if job.workdir is None:
            notes.append("workdir /home/job: Kubernetes does not know the image's own (--workdir)")
    values = values_of(spawn)
    if values:
        keys = ", ".join(sorted(values))
        notes.append(f"then a Secret {secret}, owned by the Job, with {keys}")
    return notes

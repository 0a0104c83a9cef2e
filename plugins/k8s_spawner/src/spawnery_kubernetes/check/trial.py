"""Lets the API server check a Job and the pod that it would make, without creating either.

Admission (LimitRange, quotas, Pod Security, policies) judges pods, so a Job alone tells little.
Source: kubernetes.io/docs/reference/using-api/api-concepts, "Dry-run".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen
from spawnery.contract import Deadline
from spawnery.errors import EngineDenied, SpawnerError

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, in_words

_DRY_RUN: Final = {"dryRun": "All", "fieldValidation": "Strict"}
_POD_SECURITY: Final = "podsecurity"
_SUFFIX: Final = "-check"


@frozen(kw_only=True)
class Verdict:
    """What the API server says.

    Attributes:
        notes: What was checked and what was not, and its warnings.
        refused: Why the Job or its pod is refused.
        waits: Why its pod is refused now and may be taken later (a quota that is used up).
    """

    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


def attempt(client: KubeClient, job: Mapping[str, Any], *, deadline: Deadline) -> Verdict:
    """Have a Job and its pod checked.

    Raises:
        SpawnerError: The cluster does not answer.
    """
    of_job, of_pod = _of_job(client, job, deadline), Verdict()
    if not of_job.refused:
        of_pod = _of_pod(client, job, deadline)
    return Verdict(
        notes=(*of_job.notes, *of_pod.notes),
        refused=(*of_job.refused, *of_pod.refused),
        waits=of_pod.waits,
    )


def _of_job(client: KubeClient, job: Mapping[str, Any], deadline: Deadline) -> Verdict:
    try:
        warnings = _post(client, "jobs", job, deadline)
    except ApiError as error:
        if error.reason == "AlreadyExists":
            return Verdict(notes=(f"the cluster has not checked the Job: {error.message}",))
        return Verdict(refused=(str(in_words(error, f"create the Job {_name(job)}")),))
    refused = [text for text in warnings if _POD_SECURITY in text.lower()]
    warned = [f"the cluster warns: {text}" for text in warnings if text not in refused]
    notes = ("the cluster has checked the Job (dry run)", *warned)
    return Verdict(notes=notes, refused=tuple(refused))


def _of_pod(client: KubeClient, job: Mapping[str, Any], deadline: Deadline) -> Verdict:
    template = job["spec"]["template"]
    metadata = {
        "name": f"{_name(job)}{_SUFFIX}",
        "namespace": client.namespace,
        "labels": dict(template["metadata"].get("labels") or {}),
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    try:
        _post(client, "pods", pod, deadline)
    except ApiError as error:
        said = in_words(error, f"create the pod of the Job {_name(job)}")
        if error.reason == "AlreadyExists" or isinstance(said, EngineDenied):
            return Verdict(notes=(f"the cluster has not checked the pod: {_unchecked(said)}",))
        return Verdict(waits=(str(said),)) if said.retryable else Verdict(refused=(str(said),))
    return Verdict(notes=("the cluster has checked the pod (dry run)",))


def _unchecked(said: SpawnerError) -> str:
    if not isinstance(said, EngineDenied):
        return said.message
    return "that needs the right to create pods (deploy/kubernetes/check)"


def _post(
    client: KubeClient, kind: str, body: Mapping[str, Any], deadline: Deadline
) -> tuple[str, ...]:
    path, limit = client.path(kind), deadline.remaining()
    return client.call("POST", path, query=_DRY_RUN, body=body, timeout=limit).warnings


def _name(job: Mapping[str, Any]) -> str:
    return str(job["metadata"]["name"])

"""The Secret of one job: the values that we hand over, owned by its Job. Pure.

The Job is made first and names it; the pod waits for it, and it goes with the Job.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

from spawnery.contract import LABEL_INSTANCE, LABEL_JOB_ID, SpawnRequest
from spawnery.model import Secret

from spawnery_kubernetes.objects.facts import CONTAINER


def values_of(request: SpawnRequest) -> dict[str, Secret]:
    """Return the secrets whose values we hand over; others are the cluster's own."""
    return {key: value for key, value in request.secrets.items() if isinstance(value, Secret)}


def new_secret_name(request: SpawnRequest) -> str:
    """Make up the name of a job's Secret: nobody can have put another one there before."""
    return f"{request.name}-{os.urandom(4).hex()}"


def secret_of(request: SpawnRequest, *, name: str, namespace: str, uid: str) -> dict[str, Any]:
    """Build the Secret of a job.

    Args:
        request: The job, complete.
        name: The name that its Job knows.
        namespace: Of both.
        uid: Of the Job that owns it.
    """
    # ``blockOwnerDeletion`` would need a right on the Job's finalizers.
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": request.name,
        "uid": uid,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {key: request.labels[key] for key in (LABEL_INSTANCE, LABEL_JOB_ID)},
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "immutable": True,
        "data": {
            key: base64.b64encode(value.reveal().encode()).decode()
            for key, value in values_of(request).items()
        },
    }


def keys_wanted(job: Mapping[str, Any], *, name: str) -> set[str]:
    """Return the keys of one Secret that a Job's own container takes variables from."""
    containers = job["spec"]["template"]["spec"]["containers"]
    variables = next(item.get("env") or [] for item in containers if item["name"] == CONTAINER)
    references = [(item.get("valueFrom") or {}).get("secretKeyRef") or {} for item in variables]
    return {item["key"] for item in references if item.get("name") == name}

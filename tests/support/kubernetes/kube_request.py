"""Requests as core makes them, for tests of what the Kubernetes spawner turns them into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spawnery.contract import LABEL_RECORD_ID, Deadline, SpawnRequest
from spawnery.lifecycle.preparation.prepare import labels_of
from spawnery.model import JobSpec, Secret, SecretRef
from spawnery_kubernetes.options import KubernetesOptions

HASH = "v1.0123456789abcdef"
INSTANCE = "me"


def request_of(
    *,
    secrets: Mapping[str, Secret | SecretRef] | None = None,
    options: KubernetesOptions | None = None,
    name: str | None = None,
    seconds: float = 30,
    grace_seconds: float = 10,
    created: Callable[[str], None] = lambda _engine_id: None,
    spec_hash: str = HASH,
    instance: str = INSTANCE,
    record_id: str = "r1",
    **fields: Any,
) -> SpawnRequest:
    """Return the request of a job with these fields, complete."""
    job = JobSpec(**({"job_id": "j1", "image": "busybox"} | fields))
    return SpawnRequest(
        job=job,
        spec_hash=spec_hash,
        env={"JOB_ID": job.job_id, **job.env},
        secrets=secrets or {},
        network=None,
        name=name or f"agentsmith-{job.job_id}",
        labels={
            **labels_of(job, instance=instance, spec_hash=spec_hash),
            LABEL_RECORD_ID: record_id,
        },
        record_id=record_id,
        options=options,
        retention_seconds=job.retention_seconds or 0,
        grace_seconds=grace_seconds,
        tail_bytes=8192,
        deadline=Deadline.after(seconds),
        created=created,
    )

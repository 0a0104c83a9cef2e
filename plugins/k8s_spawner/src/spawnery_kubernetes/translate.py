"""From a request to a Job: pure. Kubernetes API, ``batch/v1`` Job and ``v1`` Pod."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spawnery.contract import LABEL_INSTANCE, LABEL_JOB_ID, LABEL_SPEC_HASH, SpawnRequest
from spawnery.errors import InvalidSpec
from spawnery.model import (
    PullPolicy,
    Resources,
    Secret,
    SecretRef,
    Security,
    defaults,
    parse_quantity,
    validators,
)

from spawnery_kubernetes.jobs.sidecars import keep_evidence
from spawnery_kubernetes.manifest.patch import apply_options
from spawnery_kubernetes.manifest.secrets import values_of
from spawnery_kubernetes.manifest.security_floor import hold_floor
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_REPLACED_USER,
    ANNOTATION_SECRET_ENV,
    ANNOTATION_SECRETS,
    CONTAINER,
)
from spawnery_kubernetes.options import KubernetesOptions, refuse_patch
from spawnery_kubernetes.settings import KubernetesSettings

_NOBODY: Final = "65532:65532"
"""The user that distroless images call ``nonroot``; no node has it by default."""
_HOME: Final = "/home/job"
_TMP: Final = "/tmp"  # noqa: S108 - in the container
DEFAULTS: Final[Mapping[str, tuple[str, str]]] = {
    name: (
        getattr(defaults.RESOURCES, f"{name}_request"),
        getattr(defaults.RESOURCES, f"{name}_limit"),
    )
    for name in ("memory", "cpu")
}
"""Resource to request and limit of a job that asks for nothing."""
_POLICIES: Final = {
    PullPolicy.ALWAYS: "Always",
    PullPolicy.IF_NOT_PRESENT: "IfNotPresent",
    PullPolicy.NEVER: "Never",
}
_USER: Final = re.compile(r"(?P<uid>\d{1,10})(:(?P<gid>\d{1,10}))?\Z")
_LARGEST_ID: Final = 2**31 - 1
_JOB_CONTROLLERS: Final = re.compile(r"(batch\.kubernetes\.io/.*|controller-uid|job-name)\Z")
"""Labels that the Job controller writes on pods."""


def refuse(request: SpawnRequest, settings: KubernetesSettings) -> None:
    """Refuse what a cluster would only refuse late, or not in words.

    Raises:
        InvalidSpec: Names the field.
    """
    job = request.job
    if job.image is None:
        msg = "image: a job on Kubernetes needs one"
        hint = "name it: image=busybox"
        raise InvalidSpec(msg, field="image", hint=hint, job_id=job.job_id)
    validators.kernel_variables(request.env, request.secrets, job_id=job.job_id)
    for label in job.labels:
        if _JOB_CONTROLLERS.match(label):
            msg = f"labels.{label}: Kubernetes sets it itself on the pods of a Job"
            hint = "use another name"
            raise InvalidSpec(msg, field=f"labels.{label}", hint=hint, job_id=job.job_id)
    _refuse_user(request)
    refuse_patch(_options(request), allowed=settings.allow_patch)


def _refuse_user(request: SpawnRequest) -> None:
    job = request.job
    if job.user is None:
        return
    match = _USER.match(job.user)
    numbers = [int(n) for n in match.groupdict().values() if n is not None] if match else []
    if not numbers or max(numbers) > _LARGEST_ID:
        problem = f"Kubernetes takes numbers only (uid or uid:gid), not {job.user!r}"
        hint = "look the number up in the image: id -u NAME"
    elif numbers[0] == 0 and _restricted(request):
        problem = "0 is root, which a restricted job is not on Kubernetes"
        hint = "a job that needs root: security=baseline"
    else:
        return
    msg = f"user: {problem}"
    raise InvalidSpec(msg, field="user", hint=hint, job_id=job.job_id)


def job_of(
    request: SpawnRequest,
    settings: KubernetesSettings,
    *,
    namespace: str,
    secret: str,
    cluster_user: bool = False,
) -> dict[str, Any]:
    """Build the Job of a request, its options applied.

    Args:
        request: The job, complete.
        settings: Ours.
        namespace: Of the Job.
        secret: Name of the Secret for the values that we hand over; it is not in the Job when
            there are none.
        cluster_user: Whether the cluster chooses the user of a restricted job that names none.

    Raises:
        InvalidSpec: An option takes away what must stay.
    """
    ours = _restricted(request) and not cluster_user
    user = request.job.user or (_NOBODY if ours else "")
    base = _base(request, settings, namespace=namespace, secret=secret, user=user)
    job = apply_options(base, _options(request))
    hold_floor(job, base=base, restricted=_restricted(request))
    keep_evidence(job)
    return job


def _options(request: SpawnRequest) -> KubernetesOptions:
    found = request.options
    return found if isinstance(found, KubernetesOptions) else KubernetesOptions()


def _restricted(request: SpawnRequest) -> bool:
    return (request.job.security or Security.RESTRICTED) is Security.RESTRICTED


def _base(
    request: SpawnRequest, settings: KubernetesSettings, *, namespace: str, secret: str, user: str
) -> dict[str, Any]:
    ours = (LABEL_INSTANCE, LABEL_JOB_ID)
    pod_labels = {**request.job.labels, **{key: request.labels[key] for key in ours}}
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": math.ceil(max(request.retention_seconds, settings.ttl_seconds)),
        "template": {
            "metadata": {"labels": pod_labels},
            "spec": _pod(request, settings, secret=secret, user=user),
        },
    }
    if request.job.deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = math.ceil(request.job.deadline_seconds)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": request.name,
            "namespace": namespace,
            "labels": dict(request.labels),
            "annotations": _annotations(request, secret=secret, user=user),
        },
        "spec": spec,
    }


def _annotations(request: SpawnRequest, *, secret: str, user: str) -> dict[str, str]:
    """Return who the Job is, and what whoever reads its end later has to know."""
    notes = {key: request.labels[key] for key in (LABEL_INSTANCE, LABEL_SPEC_HASH)}
    if values_of(request):
        notes[ANNOTATION_SECRETS] = secret
    if request.secrets:
        notes[ANNOTATION_SECRET_ENV] = ",".join(sorted(request.secrets))
    if request.job.user is None and user:
        notes[ANNOTATION_REPLACED_USER] = user
    return notes


def _pod(
    request: SpawnRequest, settings: KubernetesSettings, *, secret: str, user: str
) -> dict[str, Any]:
    restricted = _restricted(request)
    # The pause process is the first one of a shared process namespace: it reaps what is left of
    # others, and SIGTERM ends programs that have no handler, as with an init process.
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": max(1, math.ceil(request.grace_seconds)),
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            **_user(user),
            **({"runAsNonRoot": True} if restricted else {}),
        },
        "containers": [_container(request, settings, secret=secret)],
    }
    if restricted:
        size = f"{settings.scratch_bytes}"
        pod["volumes"] = [
            {"name": name, "emptyDir": {"sizeLimit": size}} for name in ("home", "tmp")
        ]
    optional = {
        "serviceAccountName": settings.service_account,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
    }
    return pod | {key: value for key, value in optional.items() if value}


def _user(user: str) -> dict[str, Any]:
    """Map ``uid`` or ``uid:gid``; who is not root gets a group that may write to its volumes."""
    match = _USER.match(user)
    if match is None:
        return {}
    names = {"uid": "runAsUser", "gid": "runAsGroup"}
    found: dict[str, Any] = {
        names[k]: int(n) for k, n in match.groupdict().items() if n is not None
    }
    if found["runAsUser"] == 0:
        return found
    # A volume that has the group already is not walked through at each start.
    group = found.get("runAsGroup") or found["runAsUser"]
    return {**found, "fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}


def _container(
    request: SpawnRequest, settings: KubernetesSettings, *, secret: str
) -> dict[str, Any]:
    job, restricted = request.job, _restricted(request)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": job.image,
        "imagePullPolicy": _POLICIES[job.pull_policy or PullPolicy(settings.pull_policy)],
        "env": list(_env(request, secret=secret)),
        "resources": _resources(job.resources or Resources()),
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    if restricted:
        container["securityContext"]["capabilities"] = {"drop": ["ALL"]}
        container["volumeMounts"] = [
            {"name": "home", "mountPath": _HOME},
            {"name": "tmp", "mountPath": _TMP},
        ]
    optional = {
        "command": _literal(job.command),
        "args": _literal(job.args),
        "workingDir": job.workdir or (_HOME if restricted else None),
    }
    return container | {key: value for key, value in optional.items() if value}


def _literal(words: tuple[str, ...] | None) -> list[str]:
    return [_escaped(word) for word in words or ()]


def _escaped(text: str) -> str:
    """Keep a text as it is: the kubelet replaces ``$(NAME)``, and ``$$`` by ``$``.

    Source: k8s.io/kubernetes/third_party/forked/golang/expansion.
    """
    return text.replace("$", "$$")


def _env(request: SpawnRequest, *, secret: str) -> Iterator[dict[str, Any]]:
    if _restricted(request) and "HOME" not in {*request.env, *request.secrets}:
        yield {"name": "HOME", "value": _HOME}
    for key, value in request.env.items():
        yield {"name": key, "value": _escaped(value)}
    for key, source in request.secrets.items():
        yield {"name": key, "valueFrom": {"secretKeyRef": _reference(key, source, secret)}}


def _reference(key: str, source: Secret | SecretRef, secret: str) -> dict[str, Any]:
    if isinstance(source, Secret):
        # Never optional: a job must not run with an empty value when its Secret comes late.
        return {"name": secret, "key": key}
    found: dict[str, Any] = {"name": source.name, "key": source.key}
    return found | {"optional": True} if source.optional else found


def _resources(asked: Resources) -> dict[str, Any]:
    """Map requests and limits; a default never contradicts what the job sets."""
    requests, limits = {}, {}
    for name, (least, most) in DEFAULTS.items():
        request = getattr(asked, f"{name}_request")
        limit = getattr(asked, f"{name}_limit")
        requests[name] = request or _smaller(least, limit or most)
        limits[name] = limit or _larger(most, request or least)
    if asked.ephemeral_storage is not None:
        requests["ephemeral-storage"] = limits["ephemeral-storage"] = asked.ephemeral_storage
    if asked.gpus is not None:
        limits["nvidia.com/gpu"] = str(asked.gpus)
    return {"requests": requests, "limits": limits}


def _smaller(one: str, other: str) -> str:
    return one if parse_quantity(one) <= parse_quantity(other) else other


def _larger(one: str, other: str) -> str:
    return one if parse_quantity(one) >= parse_quantity(other) else other

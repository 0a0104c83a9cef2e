"""A Job as the Kubernetes spawner makes them, for tests of what happens to it afterwards."""

from __future__ import annotations

import copy
from typing import Any

from spawnery.jobfile.json import structure_options
from spawnery_kubernetes.options import KubernetesOptions

_LABELS = {"spawnery.dev/instance": "me", "spawnery.dev/job-id": "j1", "team": "red"}
_JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "agentsmith-j1",
        "labels": {**_LABELS},
        "annotations": {"spawnery.dev/spec-hash": "1-abc"},
    },
    "spec": {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": 900,
        "activeDeadlineSeconds": 60,
        "template": {
            "metadata": {"labels": {**_LABELS}},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 10,
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "job",
                        "image": "busybox",
                        "command": ["sh"],
                        "args": ["-c", "true"],
                        "env": [
                            {"name": "JOB_ID", "value": "j1"},
                            {
                                "name": "TOKEN",
                                "valueFrom": {"secretKeyRef": {"name": "s", "key": "TOKEN"}},
                            },
                        ],
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
            },
        },
    },
}


def job_manifest(*, restricted: bool = True) -> dict[str, Any]:
    """Return a Job of either security profile, without options."""
    job = copy.deepcopy(_JOB)
    pod = pod_of(job)
    context: dict[str, Any] = {"allowPrivilegeEscalation": False}
    if restricted:
        pod["securityContext"] |= {"runAsNonRoot": True, "runAsUser": 65532}
        context["capabilities"] = {"drop": ["ALL"]}
    pod["containers"][0]["securityContext"] = context
    return job


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the pod of a Job, to look into or to change."""
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def options_of(**given: Any) -> KubernetesOptions:
    """Make options as core does of a spec."""
    made = structure_options(given, KubernetesOptions, field="options.kubernetes")
    assert isinstance(made, KubernetesOptions)
    return made


def patch_of(**pod: Any) -> dict[str, Any]:
    """Return a patch of the pod."""
    return {"spec": {"template": {"spec": pod}}}

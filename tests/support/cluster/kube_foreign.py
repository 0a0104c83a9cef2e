"""Objects of somebody else, which any Pod Security level admits."""

from __future__ import annotations

from typing import Any

from docker_images import BUSYBOX

_CONTEXT: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def foreign_pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """Return a pod of its own that runs a command, for ten minutes when there is none."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": _pod(*command, **spec),
    }


def foreign_job(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """Return a Job that runs a command, for ten minutes when there is none."""
    template = {"metadata": {}, "spec": _pod(*command)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }


def _pod(*command: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "program",
        "image": BUSYBOX,
        "command": list(command or ("sleep", "600")),
        "securityContext": _CONTEXT,
    }
    fixed = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    return {"containers": [container], **fixed, **spec}

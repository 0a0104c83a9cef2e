"""Settings of the Kubernetes spawner."""

from __future__ import annotations

from typing import Final

from attrs import frozen
from spawnery.contract import setting
from spawnery.model import PullPolicy

_ASSIGNERS: Final = ("auto", "spawnery", "cluster")
_POLICIES: Final = ", ".join(PullPolicy)


def _policy(value: str) -> str | None:
    return None if value in set(PullPolicy) else f"must be one of {_POLICIES}"


def _assigner(value: str) -> str | None:
    return None if value in _ASSIGNERS else f"must be one of {', '.join(_ASSIGNERS)}"


def _above_zero(value: float) -> str | None:
    return None if value > 0 else "must be more than 0"


def _not_negative(value: float) -> str | None:
    return None if value >= 0 else "must not be below 0"


@frozen(kw_only=True)
class KubernetesSettings:
    """``SPAWNERY_KUBERNETES_*`` and the table ``[kubernetes]``; ``KUBECONFIG`` is read too."""

    namespace: str | None = setting(
        None,
        description="Namespace of all jobs; else that of the context or of our own pod.",
    )
    kubeconfig: str | None = setting(
        None,
        description="The kubeconfig file; else KUBECONFIG, the account of our own pod, ~/.kube.",
    )
    context: str | None = setting(
        None, description="Context of the kubeconfig; else its current one."
    )
    service_account: str | None = setting(
        None, description="Service account of the jobs' pods; its token is never mounted."
    )
    image_pull_secrets: tuple[str, ...] = setting(
        (), description="Names of the Secrets in the namespace that images are pulled with."
    )
    pull_policy: str = setting(
        PullPolicy.IF_NOT_PRESENT.value,
        check=_policy,
        description=f"When images are pulled where a job does not say: {_POLICIES}.",
    )
    pull_grace_seconds: float = setting(
        120.0,
        check=_not_negative,
        description="Seconds for which a pull that fails is left to the node to try again.",
    )
    start_grace_seconds: float = setting(
        30.0,
        check=_not_negative,
        description="Seconds for which a pod that cannot start (a Secret that is missing) may lag.",
    )
    assign_user: str = setting(
        "auto",
        check=_assigner,
        description="Who gives restricted jobs that name no user theirs: spawnery (65532), the"
        " cluster, or auto: the cluster where the namespace has a range of users (OpenShift).",
    )
    ttl_seconds: float = setting(
        900.0,
        check=_above_zero,
        description="Least seconds after which the cluster itself removes an ended Job: the time"
        " to read how it ended when none of us was watching.",
    )
    scratch_bytes: int = setting(
        1024 * 1024 * 1024,
        check=_above_zero,
        description="Size in bytes of the writable /tmp and home of restricted jobs, on the node.",
    )
    allow_patch: bool = setting(
        False,  # noqa: FBT003 - the default
        description="Whether jobs may patch their own manifest (options.kubernetes.patch).",
    )

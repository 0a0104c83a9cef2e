"""Why a job does not start, by what the cluster shows of it: pure.

Sources: the kubelet's reasons of waiting containers (kubernetes, pkg/kubelet/kuberuntime), and the
events of its controllers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spawnery_kubernetes.diagnosis.image_messages import IMAGE_REASONS, image_failure
from spawnery_kubernetes.diagnosis.start_messages import start_failure
from spawnery_kubernetes.objects.denials import denial
from spawnery_kubernetes.objects.facts import ContainerFacts, EventFacts, JobFacts, PodFacts
from spawnery_kubernetes.objects.findings import Finding, Kind, Patience, events, kind_of, quote

_START_REASONS: Final = frozenset(
    {"CreateContainerError", "RunContainerError", "CreatePodSandboxError", "PostStartHookError"}
)
_CONFIG: Final = (
    Kind(
        words=r"runAsNonRoot and image (will run as root|has non-numeric user)",
        cause="security.root_image",
        message="the image wants to run as root, or as a user without a number,"
        " and the profile restricted forbids it",
        hint="name a user: user=1000, or let it run as its image says: security=baseline",
    ),
    Kind(
        words=r"couldn't find key .* in Secret",
        cause="secret.not_found",
        message="a Secret does not have the key that the job asks for",
        hint="its keys: kubectl -n {ns} describe secret",
        patience=Patience.START,
    ),
    Kind(
        words=r"secret .*not found",
        cause="secret.not_found",
        message="a Secret that the job needs does not exist",
        hint="make it (kubectl create secret generic --help); what is there: kubectl -n {ns} get"
        " secrets",
        patience=Patience.START,
    ),
    Kind(
        words=r"configmap .*not found|couldn't find key .* in ConfigMap",
        cause="start.failed",
        message="a ConfigMap that the job needs, or its key, does not exist",
        hint="what is there: kubectl -n {ns} describe configmaps",
        patience=Patience.START,
    ),
)
_CREATING: Final = frozenset({"ContainerCreating", "PodInitializing"})
_PATIENT: Final = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})


def diagnose(
    job: JobFacts, pod: PodFacts | None, told: Sequence[EventFacts] = ()
) -> Finding | None:
    """Say what a job that does not run waits for; None where nothing is wrong with it.

    Args:
        job: The Job.
        pod: Its pod, None where there is none.
        told: Events about both.
    """
    if pod is None:
        return _without_pod(job, told)
    if pod.main is not None and pod.main.waiting is not None:
        found = _container(job, pod, pod.main)
        if found is None and pod.init is not None:
            found = _container(job, pod, pod.init)
        return found or _by_events(job, pod, told)
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and not scheduled.status and pod.node is None:
        message = f"no node fits; the scheduler says: {quote(scheduled.message)}"
        return Finding(
            cause="unschedulable",
            message=message,
            hint=f"ask for less, or add a node\n{events(pod)}",
            patience=Patience.ENDLESS,
        )
    return _by_events(job, pod, told)


def failing_since(
    job: JobFacts, pod: PodFacts | None, told: Sequence[EventFacts]
) -> datetime | None:
    """Return since when what a job waits for has failed: the clock of every patience.

    Where no events were read it is the time since which it could have started; where they were,
    and none is about it, it is too early to tell (None).
    """
    about = job.uid if pod is None else pod.uid
    mine = [event for event in told if event.about == about]
    if mine:
        reasons = _telling(pod)
        times = (e.first_at for e in mine if e.reason in reasons)
        return min((at for at in times if at is not None), default=None)
    if pod is None:
        return job.resumed_at or job.created_at
    scheduled = pod.condition("PodScheduled")
    at = scheduled.at if scheduled is not None and scheduled.status else None
    return at or pod.created_at


def _telling(pod: PodFacts | None) -> frozenset[str]:
    """Return the reasons of the events that tell why a job does not start."""
    if pod is None:
        return frozenset({"FailedCreate"})
    waits = pod.main is not None and pod.main.waiting not in {None, *_CREATING}
    init = pod.init is not None and pod.init.waiting not in {None, *_CREATING}
    return frozenset({"Failed"}) if waits or init else _PATIENT


def waits_for_own_secret(job: JobFacts, pod: PodFacts | None) -> bool:
    """Tell whether a pod waits for a Secret that whoever spawned the job was to make."""
    if pod is None or pod.main is None or pod.main.waiting != "CreateContainerConfigError":
        return False
    return any(f'"{name}" not found' in pod.main.message for name in job.secrets)


def _container(job: JobFacts, pod: PodFacts, container: ContainerFacts) -> Finding | None:
    reason, said = container.waiting or "", container.message
    image = job.image if container is pod.main else container.image
    if reason in IMAGE_REASONS:
        return image_failure(reason, said, image, events(pod))
    if reason == "CreateContainerConfigError":
        return _config(job, pod, said)
    if reason in _START_REASONS:
        return start_failure(said, image, events(pod))
    return None if container is pod.main else _init(pod, container)


def _init(pod: PodFacts, init: ContainerFacts) -> Finding | None:
    """Say what an init container is at that is pulled and can be started."""
    what = f"its {'sidecar' if init.sidecar else 'init container'} {init.name}"
    ended = init.terminated or init.last
    if init.sidecar and ended is not None and init.running_since is None:
        # Between two attempts the kubelet shows CrashLoopBackOff, or how the last one ended.
        code = f"last with exit code {ended.code}"
        message = f"{what} ends again and again, {code}; the job starts when it runs"
    elif init.running_since is None:
        return None
    elif init.sidecar:
        message = f"{what} runs and does not pass its startup probe; the job starts when it does"
    else:
        message = f"{what} still runs; the job starts when it has ended"
    return Finding(
        cause="start.init",
        message=message,
        hint=f"its log: kubectl -n {pod.namespace} logs {pod.name} -c {init.name}",
        patience=Patience.ENDLESS,
    )


def _config(job: JobFacts, pod: PodFacts, text: str) -> Finding:
    said = f"the node says: {quote(text)}"
    if waits_for_own_secret(job, pod):
        return Finding(
            cause="secret.not_found",
            message=f"whoever spawned it has not made the Secret of this job; {said}",
            hint="spawn it again with the same job id, where its secrets are known",
            patience=Patience.START,
        )
    kind = kind_of(_CONFIG, text)
    if kind is None:
        message = f"its container cannot be configured; {said}"
        return Finding(
            cause="start.failed", message=message, hint=events(pod), patience=Patience.START
        )
    return Finding(
        cause=kind.cause,
        message=f"{kind.message}; {said}",
        hint=f"{kind.hint.replace('{ns}', pod.namespace)}\n{events(pod)}",
        patience=kind.patience,
    )


def _latest(about: str, told: Sequence[EventFacts]) -> EventFacts | None:
    mine = [event for event in told if event.about == about]
    return max(mine, key=lambda event: (event.version, str(event.first_at or "")), default=None)


def _without_pod(job: JobFacts, told: Sequence[EventFacts]) -> Finding | None:
    last = _latest(job.uid, told)
    if last is None or last.reason != "FailedCreate":
        return None
    return denial(last.message, job.namespace, events(job))


def _by_events(job: JobFacts, pod: PodFacts, told: Sequence[EventFacts]) -> Finding | None:
    """Say what the node is at, before it tells of the container."""
    last = _latest(pod.uid, told)
    if last is None:
        return None
    if last.reason == "Pulling":
        return Finding(
            cause="image.pulling",
            message=f"the image {job.image} is being pulled",
            patience=Patience.ENDLESS,
            since=last.first_at,
        )
    if last.reason not in _PATIENT:
        return None
    kind = kind_of(_CONFIG, last.message)
    return Finding(
        cause=kind.cause if kind is not None else "start.failed",
        message=f"the node cannot make its pod ready; it says {last.reason}: {quote(last.message)}",
        hint=events(pod),
        patience=Patience.START if kind is not None else Patience.ENDLESS,
    )

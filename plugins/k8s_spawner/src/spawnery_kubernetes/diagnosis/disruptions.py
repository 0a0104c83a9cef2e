"""Pods that the cluster itself has ended, or never let start: pure.

Sources: Kubernetes documentation, "Disruptions" (pod disruption conditions), "Node-pressure
Eviction", and the reasons of the kubelet's admission (pkg/kubelet/lifecycle).
"""

from __future__ import annotations

from typing import Final

from spawnery.model import JobState

from spawnery_kubernetes.diagnosis.start_messages import start_failure
from spawnery_kubernetes.objects.facts import JobFacts, PodFacts, Terminated
from spawnery_kubernetes.objects.findings import Finding, events, quote

_AGAIN: Final = "spawn it again"
_DISRUPTIONS: Final = {
    "PreemptionByScheduler": (
        "a pod with a higher priority took its place",
        f"{_AGAIN}, or give it a higher one: options.kubernetes.priority_class_name",
    ),
    "DeletionByTaintManager": (
        "its node does not keep it: a taint with NoExecute",
        f"{_AGAIN}, or let it stay: options.kubernetes.tolerations; kubectl describe node {{node}}",
    ),
    "EvictionByEvictionAPI": (
        "it was evicted, as when a node is drained",
        f"{_AGAIN}; what was done to the nodes: kubectl get nodes",
    ),
    "TerminationByKubelet": (
        "its node put it out",
        "ask for what it really needs: resources.memory_request, resources.ephemeral_storage",
    ),
}
_LOST: Final = frozenset({"DeletionByPodGC", "NodeLost"})
_PUT_OUT: Final = frozenset({"Evicted", "Preempting", "Terminated", "Shutdown", "NodeShutdown"})


def ended_by_cluster(job: JobFacts, pod: PodFacts, end: Terminated | None) -> Finding | None:
    """Tell whether the cluster ended a pod, or never let it start, and why.

    Args:
        job: Its Job.
        pod: A pod that is over.
        end: How the job's container ended, where that is known.
    """
    disruption = pod.disruption
    if disruption is not None:
        if end is not None and pod.ended_first:
            return None
        return _disrupted(pod, disruption.reason, disruption.message)
    if was_put_out(pod):
        return _disrupted(pod, pod.reason, pod.message)
    if pod.started or end is not None:
        return None
    return _never_started(job, pod)


def was_put_out(pod: PodFacts) -> bool:
    """Tell whether the cluster says that it ended a pod, or that the pod's node went."""
    return pod.disruption is not None or pod.reason in _PUT_OUT or pod.reason in _LOST


def _disrupted(pod: PodFacts, reason: str, message: str) -> Finding:
    said = f"{reason}: {quote(pod.message or message)}"
    if reason in _LOST:
        return Finding(
            cause="lost.node",
            message=f"its node is gone, and with it how it ended; the cluster says {said}",
            hint="it may have run to its end or not: look at what it was to produce;"
            " kubectl get nodes",
            state=JobState.LOST,
        )
    what, hint = _DISRUPTIONS.get(reason, _DISRUPTIONS["TerminationByKubelet"])
    hint = hint.replace("{node}", pod.node or "")
    return Finding(cause="evicted", message=f"{what}; the cluster says {said}", hint=hint)


def _never_started(job: JobFacts, pod: PodFacts) -> Finding | None:
    """Tell why a pod failed whose program never ran."""
    init = pod.init
    if init is not None and init.terminated is not None:
        said = f"the init container {init.name} ended with exit code {init.terminated.code}"
        hint = f"its log: kubectl -n {pod.namespace} logs {pod.name} -c {init.name}"
        if pod.gone or pod.deleting or not job.retention_seconds:
            hint = f"{events(pod)}\nto read its log, keep the ended job: retention_seconds=900"
        return Finding(cause="start.failed", message=said, hint=hint)
    if not pod.reason:
        return None
    said = f"{pod.reason}: {quote(pod.message)}"
    if pod.reason.startswith("OutOf"):
        message = f"the node that it was given to had no room for it; it says {said}"
        hint = f"{_AGAIN}, or ask for less: {events(pod)}"
        return Finding(cause="unschedulable", message=message, hint=hint)
    return start_failure(said, job.image, events(pod))

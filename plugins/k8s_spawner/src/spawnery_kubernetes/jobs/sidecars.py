"""Ends pods whose program has ended and in which other containers go on.

Kubernetes waits for every plain container of a pod, so such a pod stays, and with it its Job, until
somebody ends it or its deadline is over. Whoever sees the program's end writes it on the Job first:
of a pod that is gone nobody could tell any more how its program ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spawnery.contract import Deadline, SpawnerRuntime
from spawnery.errors import SpawnerError

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.jobs.changes import annotate, delete
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_ENDED,
    ANNOTATION_STOPPED,
    CONTAINER,
    JobFacts,
    PodFacts,
    noted,
)

LATER_SECONDS: Final = 60
"""By so much the Job's own deadline is later than its pod's where a pod has other containers: the
Job controller deletes the pod, the kubelet only ends it, so that it still tells of the program."""


def keep_evidence(job: Mapping[str, Any]) -> None:
    """Let the pod of a new Job keep the deadline itself where it has other plain containers.

    Args:
        job: The Job that is to be created; it is changed.
    """
    spec, deadline = job["spec"], job["spec"].get("activeDeadlineSeconds")
    pod = spec["template"]["spec"]
    if deadline is None or all(c["name"] == CONTAINER for c in pod["containers"]):
        return
    pod["activeDeadlineSeconds"] = deadline
    spec["activeDeadlineSeconds"] = deadline + LATER_SECONDS


class Sidecars:
    """Ends what outlives a program.

    Args:
        client: The cluster.
        runtime: The host.
    """

    def __init__(self, client: KubeClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime

    def end(self, job: JobFacts, pod: PodFacts | None) -> None:
        """End a pod in which only other containers run, unless it is kept for its log.

        A failure is logged: the next process that looks tries again.
        """
        if pod is None or pod.main is None or pod.main.terminated is None:
            return
        over = job.gone or job.deleting or pod.gone or pod.deleting
        if over or not pod.others_run or job.retention_seconds or job.note(ANNOTATION_STOPPED):
            return
        note = {ANNOTATION_ENDED: noted(pod.main.terminated)}
        limit = Deadline.after(self._runtime.io_timeout_seconds)
        try:
            if annotate(self._client, job, note, deadline=limit):
                delete(self._client, pod, {}, deadline=limit)
        except SpawnerError as error:
            what = f"the pod {pod.name}, whose program has ended, goes on"
            self._runtime.logger.info("%s: it could not be ended: %s", what, error)

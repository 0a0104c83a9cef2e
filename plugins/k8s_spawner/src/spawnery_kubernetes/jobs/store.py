"""The cluster's Jobs as this instance sees them: look, list, stop, remove."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve
from spawnery.contract import Deadline, RemoveRequest, SpawnerRuntime, StopRequest
from spawnery.errors import Ambiguous, JobRunning
from spawnery.model import JobState, JobStatus

from spawnery_kubernetes.calls.retry import time_is_over
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.informer.events import Stuck
from spawnery_kubernetes.informer.reflector import list_all, ours
from spawnery_kubernetes.jobs.changes import annotate, delete
from spawnery_kubernetes.jobs.endings import Judge
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_STOPPED,
    GIVEN_UP,
    JobFacts,
    PodFacts,
    facts_of_job,
    facts_of_pod,
)
from spawnery_kubernetes.status import is_ours

_LABEL_OF_UID: Final = "batch.kubernetes.io/controller-uid"
"""The Job controller writes it on each pod."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


class Jobs:
    """Jobs of one instance.

    Args:
        client: The cluster.
        runtime: The host.
        cache, judge, stuck: What was seen, what it means, and why nothing moves.

    Attributes:
        incomplete: Names of Jobs of which this process does not know that they have got their
            Secret: they are not launched, so whoever asks for them again completes them.
    """

    def __init__(
        self,
        client: KubeClient,
        runtime: SpawnerRuntime,
        *,
        cache: Cache,
        judge: Judge,
        stuck: Stuck,
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._cache = cache
        self._judge = judge
        self._stuck = stuck
        self.incomplete: set[str] = set()

    # -- look --------------------------------------------------------------------------------

    def show(self, name: str, *, timeout: float | None = None) -> Mapping[str, Any] | None:
        """Get a Job by its name, whoever owns it; None where there is none."""
        limit = self._runtime.io_timeout_seconds if timeout is None else timeout
        try:
            reply = self._client.call("GET", self._client.path("jobs", name), timeout=limit)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise in_words(error, f"look at the Job {name}") from None
        shown: Mapping[str, Any] = reply.json()
        return shown

    def own(self, name: str, *, timeout: float | None = None) -> JobFacts | None:
        """Look at a Job of this instance; None where there is none of ours."""
        shown = self.show(name, timeout=timeout)
        if shown is None:
            return None
        facts = facts_of_job(shown)
        if not is_ours(facts.labels, self._runtime.instance):
            return None
        self._cache.saw_job(facts)
        return facts

    def pods(self, job: JobFacts, *, timeout: float | None = None) -> Sequence[PodFacts]:
        """List the pods of a Job."""
        limit = self._runtime.io_timeout_seconds if timeout is None else timeout
        query = {"labelSelector": f"{_LABEL_OF_UID}={job.uid}"}
        try:
            path = self._client.path("pods")
            reply = self._client.call("GET", path, query=query, timeout=limit)
        except ApiError as error:
            raise in_words(error, f"list the pods of the Job {job.name}") from None
        pods = [facts_of_pod(item) for item in reply.json()["items"]]
        for pod in pods:
            self._cache.saw_pod(pod)
        return pods

    def started(self, job: JobFacts) -> bool:
        """Tell whether the program of a Job was ever started."""
        return any(pod.started for pod in self.pods(job))

    def status(self, job_id: str) -> JobStatus | None:
        """Look at a job; one that the cluster has forgotten is told from what we saw of it."""
        name = self._runtime.object_name(job_id)
        before = self._cache.last(name)
        job = self.own(name)
        if job is None:
            return None if before is None else self._judge.forgotten(before[0])
        pods = self.pods(job)
        status = self._judged(job)
        if status is not None and status.state is JobState.PENDING and status.cause is None:
            self._cache.saw_events(job.uid, self._stuck.events_of(job, pods))
            return self._judged(job)
        return status

    def list_jobs(self) -> list[JobStatus]:
        """Look at all jobs of the instance, in every state."""
        selector, timeout = ours(self._runtime.instance), self._runtime.io_timeout_seconds
        jobs = list_all(self._client, "jobs", selector, facts_of_job, timeout=timeout).items
        pods = list_all(self._client, "pods", selector, facts_of_pod, timeout=timeout).items
        for job in jobs:
            self._cache.saw_job(job)
        for pod in pods:
            self._cache.saw_pod(pod)
        return [self._launched(status) for status in self._judge.all(job.uid for job in jobs)]

    def _judged(self, job: JobFacts) -> JobStatus | None:
        status = self._judge.status(job.uid)
        return None if status is None else self._launched(status)

    def _launched(self, status: JobStatus) -> JobStatus:
        begun = status.started_at is not None or status.outcome is not None
        if begun or status.name not in self.incomplete:
            return status
        return evolve(status, launched=False)

    # -- stop and remove ---------------------------------------------------------------------

    def stop(self, request: StopRequest) -> None:
        """End a Job of ours, and wait until it has ended; see the hook.

        The pod is deleted, not the Job: its grace is that of the call then, and the Job stays to
        tell how it ended. One that never started goes as a whole.
        """
        pause, told, uid = _FIRST_PAUSE, False, request.engine_id
        while True:
            job = self.own(request.name, timeout=request.deadline.remaining())
            if job is None or job.uid != (uid or job.uid):
                return
            uid = job.uid
            pods = self.pods(job, timeout=request.deadline.remaining())
            self._judge.listen(job.uid)
            status = self._judged(job)
            if status is None or status.outcome is not None:
                return
            if not told:
                self._annotate(job, request.reason, deadline=request.deadline)
                if not any(pod.started for pod in pods):
                    self.discard(job, request.grace_seconds, deadline=request.deadline)
                    return
                self._end(pods, request.grace_seconds, deadline=request.deadline)
                told = True
            if time_is_over(request.deadline, pause):
                msg = f"the Job {request.name} did not end in time after it was told to"
                raise Ambiguous(msg, job_id=request.job_id)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _annotate(self, job: JobFacts, reason: str, *, deadline: Deadline) -> None:
        """Write the reason on the Job before anything is killed, for every process to see."""
        at = self._runtime.engine_clock.best_guess()
        now = at.astimezone(UTC).isoformat(timespec="milliseconds")
        note = {ANNOTATION_STOPPED: f"{reason} {now}"}
        annotate(self._client, job, note, deadline=deadline)

    def _end(self, pods: Sequence[PodFacts], grace_seconds: float, *, deadline: Deadline) -> None:
        """Delete pods, with a grace of at least a second: with 0 nobody would see them end."""
        options = {"gracePeriodSeconds": max(1, math.ceil(grace_seconds))}
        for pod in pods:
            if not pod.terminated:
                delete(self._client, pod, options, deadline=deadline)

    def remove(self, request: RemoveRequest) -> None:
        """Remove a Job of ours that does not run, and what it owns."""
        before = self._cache.last(request.name)
        job = self.own(request.name, timeout=request.deadline.remaining())
        if job is None or job.uid != (request.engine_id or job.uid):
            known = None if before is None else before[0]
            self._cache.forget(request.name, request.engine_id or known)
            return
        status = self._judged(job)
        if status is None or status.outcome is None:
            self._remove_unended(job, request)
        else:
            self._until_gone(job, lambda: False, deadline=request.deadline)
        self._cache.forget(request.name, job.uid)
        self.incomplete.discard(request.name)

    def _remove_unended(self, job: JobFacts, request: RemoveRequest) -> None:
        pods = self.pods(job, timeout=request.deadline.remaining())
        status = self._judged(job)
        ended = status is not None and status.outcome is not None
        if not ended and any(pod.started for pod in pods):
            msg = f"job {request.job_id} still runs"
            hint = f"stop it first: spawnery stop {request.job_id}"
            raise JobRunning(msg, hint=hint, job_id=request.job_id)
        self.discard(job, grace_seconds=0, deadline=request.deadline)

    def give_up(self, job: JobFacts, *, deadline: Deadline) -> None:
        """Remove a Job whose spawn has failed: it has never been a job for anybody."""
        self._annotate(job, GIVEN_UP, deadline=deadline)
        self.discard(job, grace_seconds=0, deadline=deadline)
        self._cache.forget(job.name, job.uid)

    def discard(self, job: JobFacts, grace_seconds: float, *, deadline: Deadline) -> None:
        """Remove a Job whose program may run, with its pods; returns when they are gone."""

        def running() -> bool:
            pods = self.pods(job, timeout=deadline.remaining())
            self._end(pods, grace_seconds, deadline=deadline)
            return any(not pod.terminated for pod in pods)

        self._until_gone(job, running, deadline=deadline)

    def _until_gone(
        self, job: JobFacts, running: Callable[[], bool], *, deadline: Deadline
    ) -> None:
        """Delete a Job, whoever else is at it, and wait until it is gone and nothing of it runs.

        What it owns, its Secret and pods that have ended, the garbage collector removes.
        """
        pause = _FIRST_PAUSE
        while True:
            delete(self._client, job, {"propagationPolicy": "Background"}, deadline=deadline)
            runs = running()
            there = self.show(job.name, timeout=deadline.remaining())
            if not runs and (there is None or there["metadata"]["uid"] != job.uid):
                return
            if time_is_over(deadline, pause):
                msg = f"the Job {job.name} was still being removed when time was over"
                raise Ambiguous(msg, hint=f"kubectl get job,pod -n {job.namespace}")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

"""The pod of a job, and one request for its log: ``GET /pods/{name}/log``."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from attrs import frozen
from spawnery.contract import LABEL_JOB_ID, LogsRequest, SpawnerRuntime
from spawnery.errors import LogsUnavailable, StreamLost

from spawnery_kubernetes.calls.http_stream import LineStream
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.diagnosis.outcome import the_pod
from spawnery_kubernetes.errors import ApiError, Broken, in_words
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.informer.reflector import list_all, ours
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_STOPPED,
    CONTAINER,
    JobFacts,
    PodFacts,
    facts_of_job,
    facts_of_pod,
)
from spawnery_kubernetes.objects.timestamps import Piece, Stamps
from spawnery_kubernetes.reading.cursors import Place
from spawnery_kubernetes.status import is_ours

_SILENT_SECONDS: Final = 300.0
"""A job may say nothing for long, but then it is made sure that the connection still lives."""
_KEEP: Final = "keep ended jobs for a while: retention_seconds=900"


@frozen(kw_only=True)
class Found:
    """Where the log of a job is.

    Attributes:
        pod: The pod that tells of it, None where there is none.
        over: Whether no more comes of this pod, or none will come any more.
        final: Whether no other pod will come.
    """

    pod: PodFacts | None
    over: bool = False
    final: bool = False

    @property
    def readable(self) -> PodFacts | None:
        """The pod, once its container has run."""
        return self.pod if self.pod is not None and self.pod.started else None


class PodLogs:
    """Finds pods and opens their logs.

    Args:
        client: The cluster.
        runtime: The host.
        cache: What was seen.
    """

    def __init__(self, client: KubeClient, runtime: SpawnerRuntime, cache: Cache) -> None:
        self._client = client
        self._runtime = runtime
        self._timeout = runtime.io_timeout_seconds
        self.cache = cache

    def find(self, request: LogsRequest) -> Found:
        """Look for the pod of a job.

        Raises:
            SpawnerError: The cluster does not answer, or does not let us.
        """
        job = self._job(request)
        selector = f"{ours(self._runtime.instance)},{LABEL_JOB_ID}={request.job_id}"
        pods = list_all(self._client, "pods", selector, facts_of_pod, timeout=self._timeout).items
        for seen in pods:
            self.cache.saw_pod(seen)
        # Pods of an earlier Job of this name may be there still.
        uid = _newest_owner(pods) if job is None else job.uid
        pod = the_pod([pod for pod in pods if pod.job_uid == uid])
        final = job is None or _has_ended(job)
        if pod is not None and (pod.started or pod.terminated):
            return Found(pod=pod, over=pod.terminated, final=final)
        return Found(pod=pod, over=final, final=final)

    def _job(self, request: LogsRequest) -> JobFacts | None:
        """Look at the Job of a log; None where there is none of ours."""
        path = self._client.path("jobs", request.name)
        try:
            facts = facts_of_job(self._client.call("GET", path, timeout=self._timeout).json())
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise in_words(error, f"look at the Job {request.name}") from None
        return facts if is_ours(facts.labels, self._runtime.instance) else None

    def look(self, pod: PodFacts) -> PodFacts | None:
        """Look at a pod again; None when it is gone.

        Raises:
            SpawnerError: The cluster does not answer, or does not let us.
        """
        path = self._client.path("pods", pod.name)
        try:
            facts = facts_of_pod(self._client.call("GET", path, timeout=self._timeout).json())
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise in_words(error, f"look at the pod {pod.name}") from None
        return facts if facts.uid == pod.uid else None

    def open(self, request: LogsRequest, pod: PodFacts, place: Place, *, follow: bool) -> Pieces:
        """Ask for a log from the second of a place on.

        Raises:
            LogsUnavailable: It is not there, or not any more.
            StreamLost: The pod is there, and its node gives no log at the moment.
            SpawnerError: The cluster does not answer.
        """
        query = {"container": CONTAINER, "timestamps": "true"}
        if place.since is not None:
            query["sinceTime"] = place.since
        if follow:
            query["follow"] = "true"
        path = self._client.path("pods", pod.name, "log")
        silent = _SILENT_SECONDS if follow else self._timeout
        try:
            stream = self._client.stream(
                path, query=query, timeout=self._timeout, idle_timeout=silent
            )
        except ApiError as error:
            if _may_come(error) and self.look(pod) is not None:
                msg = f"the node does not give the log of the pod {pod.name}: {error.message}"
                raise StreamLost(msg, job_id=request.job_id) from None
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
                raise _unreadable(request, error.message) from None
            doing = f"read the log of the pod {pod.name}"
            raise in_words(error, doing, job_id=request.job_id) from None
        return Pieces(stream)


class Pieces:
    """The lines of one answer. One thread reads; any thread may close."""

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream
        self._stamps = Stamps()
        self._any = False

    def some(self) -> list[Piece] | None:
        """Wait for the next pieces; None at a clean end.

        Raises:
            StreamLost: The connection broke.
        """
        try:
            while data := self._stream.read1():
                if found := self._stamps.feed(data):
                    self._any = True
                    return found
        except Broken as error:
            msg = f"the connection to the log broke: {error}"
            raise StreamLost(msg) from None
        self._stamps.end()
        return None

    @property
    def trouble(self) -> str:
        """What the node said in the place of a log; empty where it gave one."""
        return "" if self._any else self._stamps.said.strip()

    def close(self) -> None:
        """End it; a reader that waits wakes up."""
        self._stream.close()


def _may_come(error: ApiError) -> bool:
    """Tell whether a node may give a log later that it refuses now.

    A kubelet that was restarted knows its pods some seconds later (404), and while it begins a new
    file of the log there is none.
    """
    missing = error.status == HTTPStatus.BAD_REQUEST and "no such file" in error.message
    return missing or error.status == HTTPStatus.NOT_FOUND


def _newest_owner(pods: Sequence[PodFacts]) -> str | None:
    """Return the uid of the Job whose pod was made last."""
    newest = max(pods, key=lambda pod: str(pod.created_at or ""), default=None)
    return None if newest is None else newest.job_uid


def _has_ended(job: JobFacts) -> bool:
    """Tell whether a Job makes no pod any more.

    Neither that we have stopped it nor that it is to fail is its last word; both are final.
    """
    if job.deleting or job.note(ANNOTATION_STOPPED) is not None:
        return True
    last = (job.condition(kind) for kind in ("Complete", "Failed", "FailureTarget"))
    return any(word is not None and word.status for word in last)


def gone(request: LogsRequest) -> LogsUnavailable:
    """Say that the pod is not there, and its log with it."""
    msg = (
        f"the log of job {request.job_id} is not here: the Job {request.name} has no pod; it went,"
        " and its log with it, or never was"
    )
    return LogsUnavailable(msg, hint=_KEEP, job_id=request.job_id)


def _unreadable(request: LogsRequest, why: str) -> LogsUnavailable:
    msg = f"the log of job {request.job_id} cannot be read: {why}"
    return LogsUnavailable(msg, hint=_KEEP, job_id=request.job_id)


def refused(request: LogsRequest, said: str) -> LogsUnavailable:
    """Say that the node has no log of a pod that is there, in its words."""
    return _unreadable(request, f"its node says: {said}")

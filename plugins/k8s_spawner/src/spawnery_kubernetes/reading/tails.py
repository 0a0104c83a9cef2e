"""The end of a job's log, for the outcome of one that failed, read before it goes with the pod.

When somebody deletes a pod, the kubelet often has removed the log by the time at which it tells
how the container ended. So the log of such a pod is followed from the moment on at which it is seen
to be deleted. Of every other pod it is read when it is needed.
"""

from __future__ import annotations

import collections
import functools
import threading
from typing import Final

from attrs import frozen
from spawnery.contract import SpawnerRuntime, SpawnRequest
from spawnery.errors import SpawnerError
from spawnery.model import Secret
from spawnery.toolkit import Tail

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.diagnosis.outcome import NEVER_RAN, NOT_HEARD, NOT_SEEN, has_run, the_pod
from spawnery_kubernetes.errors import ApiError
from spawnery_kubernetes.informer.cache import Entry
from spawnery_kubernetes.objects.facts import ANNOTATION_SECRET_ENV, CONTAINER, JobFacts, PodFacts
from spawnery_kubernetes.reading.tail import FollowedTail

TAIL_BYTES: Final = 8192
"""How much of a log's end is kept of a job that another process spawned."""
_MOST_LINES: Final = "2000"
_LISTENED: Final = 64
"""Pods that are being deleted that are listened to at once."""
_HEARD: Final = 256
"""Ends of logs that are kept of pods that were deleted."""
_KEPT: Final = 5000
"""Jobs of which is known how much of their log is wanted, and what in it is secret."""
_LAG_SECONDS: Final = 2.0
"""How much later than the end of a container the end of its log may come."""
_PAUSE: Final = 0.2
_SILENT_SECONDS: Final = 3600.0


@frozen(kw_only=True)
class _Wanted:
    """How much is kept of a log, and what in it is masked."""

    limit: int = TAIL_BYTES
    values: tuple[bytes, ...] = ()
    masked: frozenset[str] = frozenset()


class Tails:
    """Ends of logs by pod.

    Args:
        client: The cluster.
        runtime: The host.
    """

    def __init__(self, client: KubeClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime
        self._lock = threading.Lock()
        self._wanted: collections.OrderedDict[str, _Wanted] = collections.OrderedDict()
        self._followed: collections.OrderedDict[str, FollowedTail] = collections.OrderedDict()

    def expect(self, job_uid: str, request: SpawnRequest) -> None:
        """Note what the outcome of a job that this process has just made is to carry."""
        secrets = {name: v for name, v in request.secrets.items() if isinstance(v, Secret)}
        wanted = _Wanted(
            limit=request.tail_bytes,
            values=tuple(secret.reveal().encode() for secret in secrets.values()),
            masked=frozenset(secrets),
        )
        with self._lock:
            self._wanted[job_uid] = wanted
            while len(self._wanted) > _KEPT:
                self._wanted.popitem(last=False)

    def saw(self, entry: Entry) -> None:
        """Listen to a pod from the moment on at which it is seen to be deleted."""
        job, pod = entry.job, the_pod(entry.pods)
        if job is None or pod is None or not (pod.deleting and pod.started):
            return
        with self._lock:
            if pod.gone or pod.terminated or pod.uid in self._followed or self._reason(job):
                return
            over = [uid for uid, followed in self._followed.items() if followed.over.is_set()]
            if len(self._followed) - len(over) >= _LISTENED:
                return
            for uid in over[: max(0, len(over) - _HEARD)]:
                del self._followed[uid]
            followed = self._followed[pod.uid] = FollowedTail()
        self._runtime.start_thread(
            "spawnery-kubernetes-tail",
            functools.partial(self._hear, followed, job, pod, follow=True),
        )

    def of(self, entry: Entry) -> tuple[str | None, str | None]:
        """Return the end of the log of a job that has ended.

        Returns:
            The text, or None and why there is none.
        """
        job, pod = entry.job, the_pod(entry.pods)
        if job is None or pod is None or not pod.started:
            ran = None if job is None else has_run(job, pod)
            if ran is False:
                return None, NEVER_RAN
            if job is None or pod is None or pod.gone:
                return None, NOT_SEEN
        with self._lock:
            reason, followed = self._reason(job), self._followed.get(pod.uid)
        if reason:
            return None, reason
        if followed is not None:
            followed.over.wait(_LAG_SECONDS)
            followed.close()
            if followed.heard or followed.whole or pod.gone:
                return followed.text()
        elif pod.gone:
            return None, NOT_HEARD
        followed = FollowedTail()
        self._hear(followed, job, pod, follow=False)
        return followed.text()

    def _reason(self, job: JobFacts) -> str:
        """Say why the end of a job's log is not to be shown; empty where it may be."""
        wanted = self._wanted.get(job.uid, _Wanted())
        if not wanted.limit:
            return "no end of the log was asked for (SPAWNERY_TAIL_BYTES)"
        names = set((job.note(ANNOTATION_SECRET_ENV) or "").split(",")) - {""}
        if names <= wanted.masked:
            return ""
        return "this process does not know the job's secrets, so it could not mask them"

    def _tail(self, job: JobFacts) -> Tail:
        wanted = self._wanted.get(job.uid, _Wanted())
        return Tail(wanted.limit, list(wanted.values))

    def _hear(self, followed: FollowedTail, job: JobFacts, pod: PodFacts, *, follow: bool) -> None:
        """Read the end of a log into an followed, again where the connection breaks."""
        query = {"container": CONTAINER, "timestamps": "true", "tailLines": _MOST_LINES}
        if follow:
            query["follow"] = "true"
        path, timeout = self._client.path("pods", pod.name, "log"), self._runtime.io_timeout_seconds
        silent = _SILENT_SECONDS if follow else timeout
        try:
            while not followed.closed.wait(_PAUSE if followed.trouble else 0):
                stream = self._client.stream(
                    path, query=query, timeout=timeout, idle_timeout=silent
                )
                followed.hear(stream, self._tail(job))
                if followed.whole or not follow:
                    break
        except ApiError as error:
            followed.trouble = f"the cluster does not give its log: {error.message}"
        except SpawnerError as error:
            followed.trouble = f"its log could not be read: {error.message}"
        finally:
            followed.over.set()

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            followed_tails = list(self._followed.values())
            self._followed.clear()
        for followed in followed_tails:
            followed.close()

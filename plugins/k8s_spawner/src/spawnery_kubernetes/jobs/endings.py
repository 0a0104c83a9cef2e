"""What this process knows of a job, as a status: the cache's facts, judged, with its log's end."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Final

from attrs import evolve, frozen
from spawnery.contract import LABEL_JOB_ID, SpawnerRuntime
from spawnery.model import JobState, JobStatus, Outcome
from spawnery.toolkit import Workers

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.diagnosis.outcome import the_pod
from spawnery_kubernetes.informer.cache import Cache, Entry
from spawnery_kubernetes.informer.reflector import list_all
from spawnery_kubernetes.jobs.sidecars import Sidecars
from spawnery_kubernetes.objects.facts import JobFacts, facts_of_pod
from spawnery_kubernetes.reading.tails import Tails
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.status import status_of

_AT_ONCE: Final = 8
"""Ends that are looked into at once: each is a request for a log, sometimes two."""


@frozen(kw_only=True)
class _End:
    """What is known of an end."""

    entry: Entry
    job: JobFacts
    outcome: Outcome


class Judge:
    """Judges Jobs by what the cache has of them.

    Args:
        client: The cluster.
        settings: Ours.
        runtime: The host.
        cache: What was seen.
        tails: Ends of logs.
        sidecars: Ends pods that outlive their program.

    Attributes:
        workers: Where ends are looked into, so that nobody who reads a stream waits for it.
    """

    def __init__(
        self,
        client: KubeClient,
        settings: KubernetesSettings,
        runtime: SpawnerRuntime,
        *,
        cache: Cache,
        tails: Tails,
        sidecars: Sidecars,
    ) -> None:
        self._client = client
        self._settings = settings
        self._runtime = runtime
        self._cache = cache
        self._tails = tails
        self._sidecars = sidecars
        self.workers = Workers(_AT_ONCE, name="spawnery-kubernetes-ends")

    def look(self, uid: str) -> JobStatus | None:
        """Judge a Job without asking the cluster; an end may lack the end of the log still."""
        entry = self._cache.get(uid)
        if entry is None or entry.job is None:
            return None
        status = self._judged(entry, entry.job)
        if entry.outcome is None:
            return status
        return evolve(status, state=entry.outcome.state, outcome=entry.outcome)

    def listen(self, uid: str) -> None:
        """Listen to what a job says while its pod is being deleted: its log goes with the pod."""
        entry = self._cache.get(uid)
        if entry is not None:
            self._tails.saw(entry)

    def status(self, uid: str) -> JobStatus | None:
        """Judge a Job; of one that has ended this is the last word, with the end of its log.

        Raises:
            SpawnerError: The cluster does not answer.
        """
        end = self._unsettled(uid)
        if end is not None and not end.entry.pods and not end.job.gone:
            # Its pods may have been seen by nobody yet, and one that is there tells more.
            self._look_for_pods(end.job)
            end = self._unsettled(uid)
        if end is not None:
            tail, missing = self._tail(end)
            status = self._judged(end.entry, end.job, tail=tail, missing=missing)
            self._cache.ended(uid, status.outcome or end.outcome)
            self._sidecars.end(end.job, the_pod(end.entry.pods))
        return self.look(uid)

    def _unsettled(self, uid: str) -> _End | None:
        """Return an end of which the last word is not said yet."""
        entry, status = self._cache.get(uid), self.look(uid)
        if entry is None or entry.job is None or status is None:
            return None
        if entry.outcome is not None or status.outcome is None:
            return None
        return _End(entry=entry, job=entry.job, outcome=status.outcome)

    def all(self, uids: Iterable[str]) -> list[JobStatus]:
        """Judge Jobs as ``status`` does, several at once.

        Where very many have ended, the ends of logs that took too long are left out this time.
        Jobs about which nothing is to be asked wait for nobody.

        Raises:
            SpawnerError: The cluster does not answer.
        """
        found = [(uid, self._begun(uid)) for uid in uids]
        until = time.monotonic() + self._runtime.io_timeout_seconds / 2
        statuses = (
            self.look(uid) if future is None else self._in_time(uid, future, until)
            for uid, future in found
        )
        return [status for status in statuses if status is not None]

    def _begun(self, uid: str) -> Future[JobStatus | None] | None:
        """Have a worker find out all about an end; None where there is none to be looked into."""
        if self._unsettled(uid) is None:
            return None
        return self.workers.submit(functools.partial(self.status, uid))

    def _in_time(self, uid: str, found: Future[JobStatus | None], until: float) -> JobStatus | None:
        try:
            return found.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            found.cancel()
        end = self._unsettled(uid)
        if end is None:
            return self.look(uid)
        return self._judged(end.entry, end.job, missing="there were too many logs to be read")

    def forgotten(self, uid: str) -> JobStatus | None:
        """Judge a Job that is not in the cluster any more, by what was seen here of its end.

        Args:
            uid: That very Job; another one may have its name by now.

        Returns:
            None where nothing was, or where it was removed on purpose.
        """
        entry = self._cache.get(uid)
        if entry is None or entry.removed or entry.job is None:
            return None
        self._cache.saw_job(evolve(entry.job, gone=True))
        status = self.status(uid)
        if status is None or status.outcome is not None:
            return status
        # Where nobody watches, its pods go unseen.
        self._look_for_pods(entry.job)
        status, later = self.status(uid), self._cache.get(uid)
        over = later is None or later.over
        return None if over and (status is None or status.outcome is None) else status

    def _tail(self, end: _End) -> tuple[str | None, str | None]:
        if end.outcome.state is JobState.SUCCEEDED:
            return None, "it is read of jobs that fail only"
        return self._tails.of(end.entry)

    def _look_for_pods(self, job: JobFacts) -> None:
        selector = f"{LABEL_JOB_ID}={job.labels[LABEL_JOB_ID]}"
        timeout = self._runtime.io_timeout_seconds
        found = list_all(self._client, "pods", selector, facts_of_pod, timeout=timeout)
        for pod in found.items:
            self._cache.saw_pod(pod)
        entry, there = self._cache.get(job.uid), {pod.uid for pod in found.items}
        for pod in () if entry is None else entry.pods:
            if pod.uid not in there and not pod.gone:
                self._cache.saw_pod(evolve(pod, gone=True, unheard=True))

    def _judged(
        self, entry: Entry, job: JobFacts, *, tail: str | None = None, missing: str | None = None
    ) -> JobStatus:
        now = self._runtime.engine_clock.now()
        return status_of(
            job,
            entry.pods,
            entry.events,
            now=None if now is None else now.middle,
            pull_grace=self._settings.pull_grace_seconds,
            start_grace=self._settings.start_grace_seconds,
            tail=tail,
            tail_missing=missing,
        )

    def close(self) -> None:
        """Let the threads end."""
        self.workers.close()

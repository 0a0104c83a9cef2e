"""The cluster's events about jobs that make no progress: asked for only there, and not often.

That no pod is made (quota, admission) and why a pod does not start (a volume, the sandbox) stands
in events alone; to watch all of a namespace would be much for what few jobs need.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from spawnery.model import JobState, JobStatus

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.diagnosis.outcome import the_pod
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.objects.facts import EventFacts, JobFacts, PodFacts, facts_of_event

_PATIENCE_SECONDS: Final = 1.5
"""For so long a job may be without progress before anybody is asked."""
_PAUSE_SECONDS: Final = 2.5
"""How long a job is left alone after its events were read: it is to be known within 5 s of the
cluster's knowing it what a job waits for."""
_MOST_A_SECOND: Final = 8
"""How often the cluster is asked, however many jobs wait."""
_MOST: Final = "50"


class Stuck:
    """Asks for events.

    Args:
        client: The cluster.
        timeout: Limit in seconds for one request.
    """

    def __init__(self, client: KubeClient, *, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    def events_of(self, job: JobFacts, pods: Sequence[PodFacts]) -> tuple[EventFacts, ...]:
        """List the events of a Job's pod, or of the Job where it has none.

        Raises:
            SpawnerError: The cluster does not answer, or does not let us.
        """
        pod = the_pod(pods)
        about = job.uid if pod is None else pod.uid
        query = {"fieldSelector": f"involvedObject.uid={about}", "limit": _MOST}
        try:
            reply = self._client.call(
                "GET", self._client.path("events"), query=query, timeout=self._timeout
            )
        except ApiError as error:
            raise in_words(error, f"list the events of {job.name}") from None
        return tuple(facts_of_event(event) for event in reply.json().get("items") or ())


class Rounds:
    """Says of which jobs it is time to ask: all of them in a few seconds where they are few."""

    def __init__(self) -> None:
        self._due_at: dict[str, float] = {}

    def due(self, statuses: Iterable[JobStatus]) -> list[str]:
        """Return the uids of the jobs to ask for now; they are not due again for a while."""
        clock = time.monotonic()
        waiting = {
            status.engine_id: self._due_at.get(status.engine_id, clock + _PATIENCE_SECONDS)
            for status in statuses
            if status.engine_id is not None and status.state is JobState.PENDING
        }
        due = [uid for uid, at in waiting.items() if at <= clock]
        pause = max(_PAUSE_SECONDS, len(waiting) / _MOST_A_SECOND)
        self._due_at = waiting | dict.fromkeys(due, clock + pause)
        return due

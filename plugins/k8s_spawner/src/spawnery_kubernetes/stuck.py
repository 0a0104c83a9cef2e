"""The cluster's events about jobs that make no progress: asked for only there, and not often.

That no pod is made (quota, admission) and why a pod does not start (a volume, the sandbox) stands
in events alone; to watch all of a namespace would be much for what few jobs need.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from spawnery.outcomes import JobState, JobStatus

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.ends import the_pod
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.facts import EventFacts, JobFacts, PodFacts, facts_of_event

_PATIENCE_SECONDS: Final = 3.0
"""For so long a job may be without progress before anybody is asked."""
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
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
    """Says of which jobs it is time to ask."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[float, float]] = {}

    def due(self, statuses: Iterable[JobStatus], now: datetime) -> list[str]:
        """Return the uids of the jobs to ask for now; they are not due again for a while."""
        waiting = {
            status.engine_id: self._asked.get(status.engine_id, (0.0, _FIRST_PAUSE))
            for status in statuses
            if status.engine_id is not None and _stands_still(status, now)
        }
        clock = time.monotonic()
        due = [uid for uid, (at, _) in waiting.items() if at <= clock]
        for uid in due:
            _, pause = waiting[uid]
            waiting[uid] = clock + pause, min(pause * 2, _LONGEST_PAUSE)
        self._asked = waiting
        return due


def _stands_still(status: JobStatus, now: datetime) -> bool:
    if status.state is not JobState.PENDING or status.accepted_at is None:
        return False
    return (now - status.accepted_at).total_seconds() >= _PATIENCE_SECONDS

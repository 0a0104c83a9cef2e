"""Changes of one object and no other: each request has its uid as a precondition.

Another object that has the name by now is not changed, so a request may be sent again where no
answer came or the cluster failed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from spawnery.contract import Deadline

from spawnery_kubernetes.calls.retry import time_is_over
from spawnery_kubernetes.client import MERGE_PATCH, KubeClient
from spawnery_kubernetes.errors import ApiError, Unanswered, in_words
from spawnery_kubernetes.objects.facts import JobFacts, PodFacts

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


def annotate(
    client: KubeClient, job: JobFacts, notes: Mapping[str, str], *, deadline: Deadline
) -> bool:
    """Write annotations on a Job.

    Args:
        client: The cluster.
        job: The Job.
        notes: Annotations, by name.
        deadline: For all attempts.

    Returns:
        False where the Job is not there any more.

    Raises:
        SpawnerError: The cluster did not do it.
    """
    patch = {"metadata": {"uid": job.uid, "annotations": dict(notes)}}
    path = client.path("jobs", job.name)
    return _send(client, "PATCH", path, patch, content_type=MERGE_PATCH, deadline=deadline)


def delete(
    client: KubeClient,
    facts: JobFacts | PodFacts,
    options: Mapping[str, Any],
    *,
    deadline: Deadline,
) -> bool:
    """Delete a Job or a pod.

    Args:
        client: The cluster.
        facts: The object.
        options: Fields of ``DeleteOptions``.
        deadline: For all attempts.

    Returns:
        False where the object is not there any more.

    Raises:
        SpawnerError: The cluster did not do it.
    """
    precondition = {"preconditions": {"uid": facts.uid}}
    body = {"apiVersion": "v1", "kind": "DeleteOptions", **options, **precondition}
    path = client.path("jobs" if isinstance(facts, JobFacts) else "pods", facts.name)
    return _send(client, "DELETE", path, body, deadline=deadline)


def _send(
    client: KubeClient,
    method: str,
    path: str,
    body: Mapping[str, Any],
    *,
    deadline: Deadline,
    content_type: str = "application/json",
) -> bool:
    pause = _FIRST_PAUSE
    while True:
        try:
            client.call(
                method, path, body=body, content_type=content_type, timeout=deadline.remaining()
            )
        except Unanswered:
            if time_is_over(deadline, pause):
                raise
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND or error.of_another_uid:
                return False
            again = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            again = again or error.status == HTTPStatus.CONFLICT
            if not again or time_is_over(deadline, pause):
                kind_and_name = "/".join(path.rsplit("/", 2)[-2:])
                raise in_words(error, f"{method.lower()} {kind_and_name}") from None
        else:
            return True
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)

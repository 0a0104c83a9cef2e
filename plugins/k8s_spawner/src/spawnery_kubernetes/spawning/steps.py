"""The POSTs of a spawn, each of which ends at once when its job is stopped.

A request may hang in an admission webhook, a command that hands out credentials may take 30 s, and
a connection may not come about. So each step runs in another thread that can be left behind: it
sends nothing any more, and what it had sent is cut off. Whether the cluster acted on that is
found out by looking, for as long as an answer may still have its effect.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from spawnery.contract import (
    LABEL_RECORD_ID,
    LABEL_SPEC_HASH,
    Deadline,
    SpawnerRuntime,
    SpawnRequest,
)
from spawnery.errors import SpawnerError, SpawnFailed
from spawnery.toolkit import Workers

from spawnery_kubernetes.calls.http_stream import Reply
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.jobs.store import Jobs
from spawnery_kubernetes.objects.facts import facts_of_job
from spawnery_kubernetes.status import is_ours

_AT_ONCE: Final = 1024
"""Threads for steps. One that is done takes the next step, which saves a sixth of our time per Job;
one that was left behind is in the way of nobody."""
_LOOKS: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds after a request was cut off at which the cluster is looked at. The API server drops a
request whose connection is gone; what it was writing just then is there a moment later."""
_PATIENCE_SECONDS: Final = 0.6
"""How long a cancelled spawn waits for the first look before it says that it was cancelled."""


class Steps:
    """Sends the POSTs of spawns.

    Args:
        client: The cluster.
        runtime: The host.
        jobs: Looks at Jobs, and gives them up.
    """

    def __init__(self, client: KubeClient, runtime: SpawnerRuntime, *, jobs: Jobs) -> None:
        self._client = client
        self._runtime = runtime
        self._jobs = jobs
        self._lock = threading.Lock()
        self._looking = 0
        self._idle = threading.Condition(self._lock)
        self._workers = Workers(_AT_ONCE, name="spawnery-kubernetes-post")

    def post(
        self,
        request: SpawnRequest,
        kind: str,
        body: Mapping[str, Any],
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Create an object of a spawn.

        Args:
            request: The spawn.
            kind: ``jobs`` or ``secrets``.
            body: The object.
            doing: What is done, for a person: ``creating the Job ...``.
            query: Parameters.
            headers: Further header fields.

        Raises:
            SpawnFailed: The job was stopped meanwhile (cause ``cancelled``): its Job is removed.
            ApiError, SpawnerError: See ``KubeClient.call``.
        """
        send = functools.partial(
            self._client.call,
            "POST",
            self._client.path(kind),
            body=body,
            cancellation=request.cancellation,
            query=query,
            headers=headers,
            timeout=request.deadline.remaining(),
        )
        step = _Step(send)
        undo = request.cancellation.on_cancel(step.over.set)
        try:
            self._workers.submit(step.run)
            step.over.wait()
        finally:
            undo()
        if request.cancellation.requested:
            self._resolve(request)
            raise cancelled(request, doing)
        return step.result()

    def _resolve(self, request: SpawnRequest) -> None:
        """Remove the Job that a request which was cut off may have made, now or in a moment."""
        first = threading.Event()
        with self._lock:
            self._looking += 1
        look = functools.partial(self._look, request, first)
        self._runtime.start_thread("spawnery-kubernetes-cancelled", look)
        first.wait(_PATIENCE_SECONDS)

    def _look(self, request: SpawnRequest, first: threading.Event) -> None:
        begun = time.monotonic()
        try:
            for at in _LOOKS:
                time.sleep(max(0.0, begun + at - time.monotonic()))
                if self._removed(request):
                    break
                first.set()
        finally:
            first.set()
            with self._idle:
                self._looking -= 1
                self._idle.notify_all()

    def _removed(self, request: SpawnRequest) -> bool:
        """Look for the Job of a spawn and remove it; False where it is not there."""
        limit = Deadline.after(self._runtime.io_timeout_seconds)
        try:
            found = self._jobs.show(request.name, timeout=limit.remaining())
            if found is None:
                return False
            job = facts_of_job(found)
            if self._is_of(request, job.labels):
                self._jobs.give_up(job, deadline=limit)
        except SpawnerError as error:
            what = f"the Job {request.name} of a spawn that was stopped"
            self._runtime.logger.warning("%s could not be removed: %s", what, error.message)
            return False
        return True

    def _is_of(self, request: SpawnRequest, labels: Mapping[str, str]) -> bool:
        """Tell whether a Job was made by this very spawn."""
        same = (labels.get(LABEL_RECORD_ID), labels.get(LABEL_SPEC_HASH))
        mine = is_ours(labels, self._runtime.instance)
        return mine and same == (request.record_id, request.spec_hash)

    def close(self) -> None:
        """Wait until it is known of each cancelled spawn whether it left something."""
        with self._idle:
            self._idle.wait_for(lambda: not self._looking, timeout=_LOOKS[-1] + 1)
        self._workers.close()


class _Step:
    """One call that may be left behind."""

    def __init__(self, call: Callable[[], Reply]) -> None:
        self._call = call
        self._reply: Reply | None = None
        self._error: Exception | None = None
        self.over = threading.Event()

    def run(self) -> None:
        """Make the call."""
        try:
            self._reply = self._call()
        except Exception as error:  # noqa: BLE001 - belongs to whoever waits
            self._error = error
        self.over.set()

    def result(self) -> Reply:
        """Return what came of it, once it is over."""
        if self._reply is None:
            raise self._error or AssertionError
        return self._reply


def cancelled(request: SpawnRequest, doing: str) -> SpawnFailed:
    """Say that a spawn ended because its job was stopped."""
    return SpawnFailed(f"cancelled while {doing}", cause="cancelled", job_id=request.job.job_id)

"""Stops and removes jobs' objects: the one place where those requests are made."""

from __future__ import annotations

from concurrent.futures import Future

from attrs import frozen

from spawnery.contract.requests import RemoveRequest, StopRequest
from spawnery.lifecycle.calls import Engine
from spawnery.model.outcome import JobStatus, KillReason
from spawnery.records.port import Record


@frozen(kw_only=True)
class Ending:
    """Ends jobs.

    Attributes:
        engine: The spawner.
        grace_seconds: How long a job has after SIGTERM where nobody says otherwise.
    """

    engine: Engine
    grace_seconds: float

    def _request(
        self, job: Record | JobStatus, reason: KillReason, grace: float | None
    ) -> StopRequest:
        grace = self.grace_seconds if grace is None else grace
        return StopRequest(
            job_id=job.job_id,
            name=job.name,
            engine_id=job.engine_id,
            reason=reason,
            grace_seconds=grace,
            deadline=self.engine.limit(grace),
        )

    def stop(
        self, job: Record | JobStatus, reason: KillReason, *, grace: float | None = None
    ) -> None:
        """End a job and wait for it; the reason is recorded already."""
        self.engine.stop(self._request(job, reason, grace))

    def begin_stop(self, job: Record | JobStatus, reason: KillReason) -> Future[None]:
        """End a job without waiting for it; see ``Engine.begin_stop``."""
        return self.engine.begin_stop(self._request(job, reason, None))

    def remove(self, job: Record | JobStatus) -> None:
        """Remove the object of a job that has ended or never ran."""
        request = RemoveRequest(
            job_id=job.job_id,
            name=job.name,
            engine_id=job.engine_id,
            deadline=self.engine.limit(),
        )
        self.engine.remove(request)

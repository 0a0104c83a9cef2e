"""Tidies up after crashes; every decision says why, and what is not ours is never touched.

Safe with several processes and instances at once: only objects with our instance's label are
listed, a job that a living process holds is left to it, and every action can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from spawnery.contract import RemoveRequest, StopRequest
from spawnery.errors import SpawnerError
from spawnery.outcomes import JobStatus
from spawnery.upkeep import kept_until, overdue

if TYPE_CHECKING:
    from spawnery.engine import Engine
    from spawnery.ledger import Ledger
    from spawnery.records import Record
    from spawnery.settings import CoreSettings


@frozen(kw_only=True)
class Decision:
    """What the reaper does with a job, and why.

    Attributes:
        job_id: The job.
        action: ``finish`` (record the outcome), ``stop``, ``remove`` (the object), ``drop`` (an
            intent that never reached the engine), ``forget`` (an old record) or ``keep``.
        reason: Why.
        done: Whether it was done (False in a dry run and for ``keep``).
        error: Why it could not be done.
    """

    job_id: str
    action: str
    reason: str
    done: bool = False
    error: str | None = None


def decide(
    record: Record | None,
    status: JobStatus | None,
    *,
    now: datetime,
    held: bool,
    grace_seconds: float,
) -> tuple[str, str]:
    """Decide on one job: (action, reason). Pure.

    Args:
        record: What we remember of it.
        status: Its object in the engine.
        now: Wall clock.
        held: Whether a living process holds the job.
        grace_seconds: How long something unfinished is left to whoever made it.
    """
    if status is not None:
        return _decide_object(record, status, now=now, held=held, grace_seconds=grace_seconds)
    if record is None:
        return "keep", "neither object nor record"
    return _decide_record(record, now=now, held=held, grace_seconds=grace_seconds)


def _decide_object(
    record: Record | None,
    status: JobStatus,
    *,
    now: datetime,
    held: bool,
    grace_seconds: float,
) -> tuple[str, str]:
    recorded = record is not None and record.outcome is not None
    if status.outcome is not None:
        if record is None or not recorded:
            return "finish", f"it ended ({status.state}) and nobody recorded it"
        until = _until(record, status)
        if until is not None and until > now.timestamp():
            return "keep", f"ended, kept {until - now.timestamp():.0f} s longer"
        if held:
            return "keep", "ended, and a living process still reads it"
        return "remove", "ended, recorded, and its retention is over"
    if recorded:
        return "stop", "its outcome is recorded, and it still runs"
    why = overdue(status, now)
    if why is not None:
        return "stop", _why(status, why)
    if not status.launched:
        return _decide_orphan(status, now=now, held=held, grace_seconds=grace_seconds)
    return "keep", f"it is {status.state}"


def _until(record: Record, status: JobStatus) -> float | None:
    """Return when an ended object is to go, from the record where the engine has no time."""
    until = kept_until(status)
    if until is None and record.ended_at is not None:
        return record.ended_at.timestamp() + (status.retention_seconds or 0)
    return until


def _why(status: JobStatus, why: str) -> str:
    if why == "deadline":
        return f"past its deadline of {status.deadline_seconds:g} s"
    if why == "start_deadline":
        return f"not started within {status.start_deadline_seconds:g} s"
    return status.message or "it can never start"


def _decide_orphan(
    status: JobStatus, *, now: datetime, held: bool, grace_seconds: float
) -> tuple[str, str]:
    age = _age(status.accepted_at, now)
    if held:
        return "keep", "a living process is about to start it"
    if age < grace_seconds:
        return "keep", f"created {age:.0f} s ago, not started yet"
    return "remove", f"created {age:.0f} s ago and never started"


def _decide_record(
    record: Record, *, now: datetime, held: bool, grace_seconds: float
) -> tuple[str, str]:
    if record.outcome is not None:
        if record.expires_at is not None and record.expires_at <= now:
            return "forget", "ended long ago"
        return "keep", "ended; the record keeps its id"
    if held:
        return "keep", "a living process holds it"
    if record.created_at is not None or record.kill is not None:
        return "finish", "its object is gone and nobody recorded its end"
    age = _age(record.intended_at, now)
    if age < grace_seconds:
        return "keep", f"wanted {age:.0f} s ago, not in the engine yet"
    return "drop", f"wanted {age:.0f} s ago and never reached the engine"


def _age(since: datetime | None, now: datetime) -> float:
    return float("inf") if since is None else (now - since).total_seconds()


class Reaper:
    """Carries out decisions.

    Args:
        engine: The spawner.
        ledger: The records.
        settings: Grace times.
    """

    def __init__(self, engine: Engine, ledger: Ledger, *, settings: CoreSettings) -> None:
        self._engine = engine
        self._ledger = ledger
        self._settings = settings

    def reap(self, *, dry_run: bool) -> Sequence[Decision]:
        """Decide on every object and record of the instance, and act unless it is a dry run."""
        return list(self._each(dry_run=dry_run))

    def _each(self, *, dry_run: bool) -> Iterator[Decision]:
        statuses = {s.job_id: s for s in self._engine.list_jobs()}
        records = [*self._ledger.records.unfinished(), *self._ledger.records.finished()]
        remembered = {r.job_id: r for r in records}
        for job_id in sorted({*statuses, *remembered}):
            yield from self._one(job_id, remembered.get(job_id), statuses.get(job_id), dry_run)

    def _one(
        self,
        job_id: str,
        record: Record | None,
        status: JobStatus | None,
        dry_run: bool,  # noqa: FBT001
    ) -> Iterator[Decision]:
        """Decide and act until nothing more is to be done for a job."""
        action = ""
        while action not in {"keep", "drop", "forget"}:
            before = action
            action, reason = decide(
                record,
                status,
                now=self._ledger.clock.now(),
                held=self._held(job_id),
                grace_seconds=self._settings.orphan_grace_seconds,
            )
            decision = Decision(job_id=job_id, action=action, reason=reason)
            if before and action in {before, "keep"}:
                return
            if dry_run or action == "keep":
                yield decision
                return
            try:
                self._act(action, job_id, record, status)
                status = self._engine.status(job_id)
            except SpawnerError as error:
                yield evolve(decision, error=error.message)
                return
            record = self._ledger.records.get(job_id)
            yield evolve(decision, done=True)
            if record is None and status is None:
                return

    def _held(self, job_id: str) -> bool:
        """Tell whether a living process is at work on a job or holds evidence: this one counts."""
        return self._ledger.records.leased(job_id) is not None

    def _act(
        self,
        action: str,
        job_id: str,
        record: Record | None,
        status: JobStatus | None,
    ) -> None:
        if action == "forget":
            self._ledger.records.forget(job_id)
        elif action == "drop":
            self._ledger.records.withdraw(job_id)
        elif action == "finish":
            self._finish(record, status)
        elif action == "stop" and status is not None:
            self._stop(status)
        elif action == "remove" and status is not None:
            self._remove(status, record)

    def _finish(self, record: Record | None, status: JobStatus | None) -> None:
        if status is not None:
            self._ledger.finish(record or self._ledger.from_status(status), status.outcome)
        elif record is not None and self._engine.status(record.job_id) is None:
            # A list may leave out what cannot be read; that is an error here, not an end.
            self._ledger.finish(record, None)

    def _stop(self, status: JobStatus) -> None:
        """End a job: the reason first, then the kill."""
        now = self._ledger.clock.now()
        why = overdue(status, now) or "stop"
        self._ledger.kill(self._ledger.remembered(status), why, status)
        grace = self._settings.stop_grace_seconds
        request = StopRequest(
            job_id=status.job_id,
            name=status.name,
            reason=why,
            grace_seconds=grace,
            deadline=self._engine.limit(grace),
        )
        self._engine.stop(request)

    def _remove(self, status: JobStatus, record: Record | None) -> None:
        """Remove an object; the end of one that never started is written down."""
        deadline = self._engine.limit()
        request = RemoveRequest(job_id=status.job_id, name=status.name, deadline=deadline)
        self._engine.remove(request)
        if not status.launched:
            record = record or self._ledger.from_status(status)
            self._ledger.finish(evolve(record, created_at=None), None)

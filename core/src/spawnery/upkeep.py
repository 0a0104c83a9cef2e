"""What time asks for: deadlines, removal, jobs that vanished, leases, full lists."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from attrs import frozen

from spawnery.contract import RemoveRequest, StopRequest
from spawnery.errors import JobNotFound, SpawnerError
from spawnery.outcomes import EventKind, JobState, JobStatus
from spawnery.records import Record
from spawnery.tracker import Tracker

if TYPE_CHECKING:
    import logging

    from spawnery.granted import Granted
    from spawnery.settings import CoreSettings
    from spawnery.workers import Workers

LEASE_SECONDS: Final = 60.0
_RENEW_SECONDS: Final = 15.0
_TICK_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 2.0
_BACKUP_SECONDS: Final = 10.0
"""How long an engine that keeps deadlines itself may be late before we step in."""


def overdue(status: JobStatus, now: datetime, *, slack: float = 0.0) -> str | None:
    """Tell which deadline of a job is over: ``deadline``, ``start_deadline``, ``hopeless`` or None.

    QUEUED does not count: the clock starts when the engine accepts the job.
    """
    if status.state.terminal or status.state is JobState.QUEUED:
        return None
    if status.fatal:
        return "hopeless"
    if status.accepted_at is None:
        return None
    age = (now - status.accepted_at).total_seconds()
    if status.deadline_seconds is not None and age > status.deadline_seconds + slack:
        return "deadline"
    waiting = status.state is JobState.PENDING and status.start_deadline_seconds is not None
    if waiting and age > (status.start_deadline_seconds or 0):
        return "start_deadline"
    return None


def kept_until(status: JobStatus) -> float | None:
    """Return when an ended job's object is to go (seconds since the epoch), None when unknown."""
    if status.outcome is None or status.outcome.finished_at is None:
        return None
    return status.outcome.finished_at.timestamp() + (status.retention_seconds or 0)


@frozen
class _Task:
    """Something to do about a job now: ``look``, ``end``, ``remove``; ``list`` is about none."""

    job_id: str
    kind: str
    run: Callable[[], None]

    @property
    def key(self) -> tuple[str, str]:
        """What is held back after a failure."""
        return self.job_id, self.kind


class Upkeep:
    """The thread beside the tracker.

    Args:
        tracker: Whose jobs they are.
        workers: Where calls to the engine run.
        settings: Grace, intervals.
        granted: Whether the engine keeps deadlines and retention itself.
        logger: Where failures go.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        workers: Workers,
        settings: CoreSettings,
        granted: Granted,
        logger: logging.Logger,
    ) -> None:
        self._tracker = tracker
        self._workers = workers
        self._settings = settings
        self._granted = granted
        self._logger = logger
        self._busy: set[str] = set()
        self._idle = threading.Condition()
        self._not_before: dict[tuple[str, str], float] = {}
        self._renew_at = 0.0
        self._relist_at = time.monotonic() + settings.relist_seconds

    @property
    def _slack(self) -> float:
        return _BACKUP_SECONDS if "deadline.engine" in self._granted.capabilities else 0.0

    def run(self) -> None:
        """Work until the tracker is closed."""
        tracker = self._tracker
        while not tracker.closed:
            for task in self._due():
                self._start(task)
            self._renew()
            self._sleep()

    def _sleep(self) -> None:
        """Wait for the next look: all jobs are looked at in turns, never once per change."""
        tracker = self._tracker
        with tracker.changed:
            if not (tracker.closed or tracker.live or tracker.absent or tracker.ended):
                tracker.changed.wait(min(_RENEW_SECONDS, self._settings.relist_seconds))
        tracker.closing.wait(_TICK_SECONDS)

    def _due(self) -> list[_Task]:
        """List what is to be done now."""
        tracker, now = self._tracker, time.monotonic()
        wall = tracker.ledger.clock.now()
        with tracker.lock:
            absent = [job_id for job_id, due in tracker.absent.items() if due <= now]
            slack = self._slack
            live = [(s, overdue(s, wall, slack=slack)) for s in tracker.live.values()]
            ended = [s for s in tracker.ended.values() if self._removable(s, wall)]
        todo = [_Task(job_id, "look", functools.partial(self._look, job_id)) for job_id in absent]
        todo += [
            _Task(s.job_id, "end", functools.partial(self._end, s, why)) for s, why in live if why
        ]
        todo += [self._removal(s) for s in ended]
        if self._relist_at <= now:
            self._relist_at = now + self._settings.relist_seconds
            todo.append(_Task("", "list", tracker.reconcile))
        return todo

    def _removal(self, status: JobStatus) -> _Task:
        return _Task(status.job_id, "remove", functools.partial(self.remove, status))

    def _removable(self, status: JobStatus, wall: datetime) -> bool:
        until = kept_until(status)
        due = (
            "retention.engine" not in self._granted.capabilities
            and until is not None
            and until <= wall.timestamp()
        )
        return due and status.job_id not in self._tracker.held

    def _start(self, task: _Task) -> None:
        """Run a task in a worker unless one for this job is at work, or it has just been tried."""
        with self._idle:
            waits = self._not_before.get(task.key, 0.0) > time.monotonic()
            if task.job_id in self._busy or waits:
                return
            self._busy.add(task.job_id)
        self._workers.submit(functools.partial(self._guard, task))

    def _guard(self, task: _Task) -> None:
        self._not_before.pop(task.key, None)
        what = f"upkeep ({task.kind}) of job {task.job_id}" if task.job_id else "upkeep of the list"
        try:
            task.run()
        except SpawnerError as error:
            self._later(task.job_id, task.kind)
            self._logger.warning("%s: %s", what, error.message)
        except Exception as error:  # noqa: BLE001 - upkeep of other jobs goes on
            self._later(task.job_id, task.kind)
            self._logger.error("%s failed: %r", what, error)  # noqa: TRY400
        finally:
            with self._idle:
                self._busy.discard(task.job_id)
                self._idle.notify_all()

    def _later(self, job_id: str, kind: str) -> None:
        """Try one kind of task again after a while; the others of the job need not wait for it."""
        self._not_before[job_id, kind] = time.monotonic() + _RETRY_SECONDS

    # -- jobs that are not there -------------------------------------------------------------

    def _look(self, job_id: str) -> None:
        """Ask once more for a job whose object is gone, and judge it when nothing else is known."""
        tracker = self._tracker
        records = tracker.ledger.records
        record = records.get(job_id)
        if record is not None and record.outcome is not None:
            tracker.ledger.announce(record)
            tracker.settle(record)
            return
        status = tracker.engine.status(job_id)
        if status is not None:
            tracker.on_seen(status)
            with tracker.lock:
                tracker.absent.pop(job_id, None)
            return
        if record is None:
            msg = f"no job {job_id}: neither the engine nor the records know it"
            tracker.fail_waiters(job_id, JobNotFound(msg, job_id=job_id))
        elif tracker.deaf() or self._others_know(record):
            self._look_later(job_id)
        else:
            self._judge(record)

    def _others_know(self, record: Record) -> bool:
        """Tell whether somebody may still hold evidence, or be at work on the job."""
        holder = self._tracker.ledger.records.leased(record.job_id)
        if record.job_id in self._tracker.spawning:
            return True
        if holder is not None and holder != self._tracker.ledger.holder:
            return True
        age = (self._tracker.ledger.clock.now() - record.intended_at).total_seconds()
        fresh = record.created_at is None and record.kill is None
        return fresh and age < self._settings.orphan_grace_seconds

    def _look_later(self, job_id: str) -> None:
        with self._tracker.lock:
            self._tracker.absent[job_id] = time.monotonic() + self._settings.settle_seconds

    def _judge(self, record: Record) -> None:
        tracker = self._tracker
        if record.created_at is None and record.kill is None:
            tracker.ledger.records.withdraw(record.job_id)
            msg = f"job {record.job_id} never reached the engine: whoever spawned it died before"
            hint = "spawn it again"
            error = JobNotFound(msg, job_id=record.job_id, hint=hint)
            tracker.fail_waiters(record.job_id, error)
            return
        with tracker.lock:
            since = tracker.absent.get(record.job_id)
        if since is None:
            return
        tracker.settle(tracker.ledger.finish(record, None))

    # -- ending and removing -----------------------------------------------------------------

    def _end(self, status: JobStatus, reason: str) -> None:
        """End a job whose time is over; the reason is recorded first."""
        ledger = self._tracker.ledger
        record = ledger.kill(ledger.remembered(status), reason, status)
        if record.outcome is not None:
            return
        grace = self._settings.stop_grace_seconds
        request = StopRequest(
            job_id=status.job_id,
            name=status.name,
            reason=reason,
            grace_seconds=grace,
            deadline=self._tracker.engine.limit(grace),
        )
        self._tracker.engine.stop(request)
        self._later(status.job_id, "end")
        self._refresh(status.job_id)

    def _refresh(self, job_id: str) -> None:
        """Look at a job now instead of waiting for the stream."""
        status = self._tracker.engine.status(job_id)
        if status is None:
            self._tracker.on_gone(job_id)
        else:
            self._tracker.on_seen(status)

    def remove(self, status: JobStatus) -> None:
        """Remove the object of an ended job, unless somebody else is still reading it."""
        tracker = self._tracker
        ledger = tracker.ledger
        holder = ledger.records.leased(status.job_id)
        if holder is not None and holder != ledger.holder:
            self._later(status.job_id, "remove")
            return
        request = RemoveRequest(
            job_id=status.job_id, name=status.name, deadline=tracker.engine.limit()
        )
        tracker.engine.remove(request)
        with tracker.lock:
            tracker.ended.pop(status.job_id, None)
        ledger.observers.tell(EventKind.REMOVED, status.job_id)

    def flush(self) -> None:
        """Remove now what is due; called when the spawner is closed.

        A removal that is at work already is waited for: the process may end right afterwards.
        """
        wall = self._tracker.ledger.clock.now()
        with self._tracker.lock:
            self._tracker.held.clear()
            due = [s for s in self._tracker.ended.values() if self._removable(s, wall)]
        for status in due:
            self._take(status.job_id)
            if status.job_id in self._tracker.ended:
                self._guard(self._removal(status))

    def _take(self, job_id: str) -> None:
        """Become the only one at work on a job, as soon as nobody else is."""
        with self._idle:
            limit = self._settings.io_timeout_seconds
            self._idle.wait_for(lambda: job_id not in self._busy, timeout=limit)
            self._busy.add(job_id)

    def _renew(self) -> None:
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + _RENEW_SECONDS
        self._forget_pauses()
        ledger = self._tracker.ledger
        try:
            ledger.records.renew(holder=ledger.holder, seconds=LEASE_SECONDS)
        except SpawnerError as error:
            self._logger.warning("leases cannot be renewed: %s", error.message)

    def _forget_pauses(self) -> None:
        """Drop pauses that are over: their jobs may be gone, and nobody asks for them again."""
        now = time.monotonic()
        for key in [key for key, until in list(self._not_before.items()) if until <= now]:
            self._not_before.pop(key, None)

"""Time-driven maintenance: deadlines, retention, jobs that vanished, leases, full lists."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from attrs import frozen

from spawnery.contract.records import Record
from spawnery.errors import JobNotFound, SpawnerError
from spawnery.lifecycle.decisions.policy import Action, Present, decide
from spawnery.lifecycle.tracker import Ended, Tracker
from spawnery.model.outcome import EventKind, JobStatus, KillReason

if TYPE_CHECKING:
    import logging

    from spawnery.lifecycle.calls import Ending
    from spawnery.lifecycle.preparation.capabilities import Granted
    from spawnery.settings.schema import CoreSettings
    from spawnery.toolkit.workers import Workers

LEASE_SECONDS: Final = 60.0
_RENEW_SECONDS: Final = 15.0
_TICK_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 2.0
_KILLED_SECONDS: Final = 0.25
"""How soon a job is looked for again that was stopped and whose end somebody else will record."""
_ELSEWHERE_SECONDS: Final = 30.0
"""How often a job is looked for whose absence here proves nothing."""
_BACKUP_SECONDS: Final = 10.0
"""How long an engine that keeps deadlines itself may be late before we step in."""


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
        ending: Stops and removes.
        workers: Where tasks run. They wait for hooks, so it is not the pool that hooks run in.
        settings: Grace, intervals.
        granted: Whether the engine keeps deadlines and retention itself.
        logger: Where failures go.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        ending: Ending,
        workers: Workers,
        settings: CoreSettings,
        granted: Granted,
        logger: logging.Logger,
    ) -> None:
        self._tracker = tracker
        self._ending = ending
        self._workers = workers
        self._settings = settings
        self._granted = granted
        self._logger = logger
        self._busy: dict[str, float] = {}
        self._coming: set[str] = set()
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
            try:
                due = self._due()
            except SpawnerError as error:
                due = []
                tracker.troubles.failed("upkeep", error)
            for task in due:
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
        present = tracker.ledger.present()
        with tracker.lock:
            absent = [job_id for job_id, due in tracker.absent.items() if due <= now]
            live = list(tracker.live.values())
            ended = [e for e in tracker.ended.values() if self._is_removable(e, present)]
        todo = [_Task(job_id, "look", functools.partial(self._look, job_id)) for job_id in absent]
        for status in live:
            task = self._task_of(status, present)
            if task is not None:
                todo.append(task)
        todo += [self._removal(e) for e in ended]
        if self._relist_at <= now:
            self._relist_at = now + self._settings.relist_seconds
            todo.append(_Task("", "list", tracker.relist))
        return todo

    def _task_of(self, status: JobStatus, present: Present) -> _Task | None:
        """Return what is to be done with a job that has not ended.

        What was made and never started is left to ``reap``: a spawn that takes it up again would
        find it removed under its hands.
        """
        verdict = decide(
            None,
            status,
            now=present,
            held=lambda: True,
            grace_seconds=self._settings.orphan_grace_seconds,
            slack=self._slack,
        )
        if verdict.kill is not None:
            end = functools.partial(self._end, status, verdict.kill)
            return _Task(status.job_id, "end", end)
        return None

    def _removal(self, ended: Ended) -> _Task:
        remove = functools.partial(self.remove, ended.status)
        return _Task(ended.status.job_id, "remove", remove)

    def _is_removable(self, ended: Ended, present: Present) -> bool:
        job_id = ended.status.job_id
        if "retention.engine" in self._granted.capabilities or job_id in self._tracker.held:
            return False
        # Whoever else reads it is asked for when it is removed.
        verdict = decide(
            ended.record, ended.status, now=present, held=lambda: False, grace_seconds=0
        )
        return verdict.action is Action.REMOVE

    def _start(self, task: _Task) -> None:
        """Run a task in a worker unless one for this job is at work, or it has just been tried."""
        now = time.monotonic()
        with self._idle:
            waits = self._not_before.get(task.key, 0.0) > now
            if self._busy.get(task.job_id, 0.0) > now or waits:
                return
            self._busy[task.job_id] = float("inf")
        self._workers.submit(functools.partial(self._guard, task))

    def _guard(self, task: _Task) -> None:
        self._not_before.pop(task.key, None)
        try:
            task.run()
        except Exception as error:  # noqa: BLE001 - upkeep of other jobs goes on
            self._failed(task.job_id, task.kind, error)
        finally:
            self._done(task.job_id)

    def _failed(self, job_id: str, kind: str, error: BaseException) -> None:
        what = f"upkeep ({kind}) of job {job_id}" if job_id else "upkeep of the list"
        self._later(job_id, kind)
        if isinstance(error, SpawnerError):
            self._tracker.troubles.failed(what, error)
        else:
            self._logger.error("%s failed: %r", what, error)

    def _done(self, job_id: str) -> None:
        """Let other tasks of a job begin, unless one of it has gone on to its engine."""
        with self._idle:
            if self._busy.get(job_id) == float("inf"):
                del self._busy[job_id]
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
        if record is None and status is not None and status.outcome is not None:
            status = self._listed(status)
        if status is not None and tracker.on_seen(status, looked=True):
            self._coming.discard(job_id)
            with tracker.lock:
                tracker.absent.pop(job_id, None)
            return
        if record is None:
            tracker.fail_waiters(job_id, self._unknown(job_id))
        elif tracker.deaf() or self._others_know(record):
            if record.created_at is None:
                self._coming.add(job_id)
            # A spawn that was stopped in another process writes down its end at once.
            soon = _KILLED_SECONDS if record.kill is not None else self._settings.settle_seconds
            self._look_later(job_id, soon)
        elif _was_made(record) and not records.absence_counts(record):
            self._look_later(job_id, _ELSEWHERE_SECONDS)
        else:
            self._judge(record)

    def _unknown(self, job_id: str) -> JobNotFound:
        """Return the error for who waits for a job that nobody knows (any more)."""
        if job_id in self._coming:
            self._coming.discard(job_id)
            return self._tracker.ledger.not_created(job_id, record=None)
        return self._tracker.ledger.unknown(job_id)

    def _listed(self, status: JobStatus) -> JobStatus | None:
        """Return the end of a job in no record only while its object is there (``present``)."""
        tracker, found = self._tracker, None
        for item in tracker.engine.list_jobs():
            if item.job_id == status.job_id:
                found = status if item.engine_id == status.engine_id else None
            elif item.outcome is not None and tracker.ledger.records.get(item.job_id) is None:
                tracker.on_seen(item, looked=True)
        return found

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

    def _look_later(self, job_id: str, seconds: float) -> None:
        with self._tracker.lock:
            self._tracker.absent[job_id] = time.monotonic() + seconds

    def _judge(self, record: Record) -> None:
        tracker = self._tracker
        if not _was_made(record):
            tracker.ledger.records.withdraw(record.job_id)
            error = tracker.ledger.not_created(record.job_id, record=record)
            tracker.fail_waiters(record.job_id, error)
            return
        with tracker.lock:
            since = tracker.absent.get(record.job_id)
        if since is None:
            return
        self._settle(tracker.ledger.finish(record, None))

    def _settle(self, record: Record) -> None:
        """Tell waiters of an end; a record that was removed meanwhile has none to tell of."""
        if record.outcome is not None:
            self._tracker.settle(record)
            return
        msg = f"job {record.job_id} was removed while it was waited for"
        error = JobNotFound(msg, job_id=record.job_id)
        self._tracker.fail_waiters(record.job_id, error)

    # -- ending and removing -----------------------------------------------------------------

    def _end(self, status: JobStatus, reason: KillReason) -> None:
        """Begin to end a job whose time is over; the reason is recorded first."""
        ledger = self._tracker.ledger
        found = ledger.of_object(status)
        if found is None or (found[1] and not self._is_there(status.job_id)):
            self._refresh(status.job_id)
            return
        record = ledger.kill(found[0], reason, status, new=found[1])
        if record.outcome is not None or record.kill is None:
            self._refresh(status.job_id)
            return
        grace = self._settings.stop_grace_seconds + self._settings.io_timeout_seconds
        with self._idle:
            self._busy[status.job_id] = time.monotonic() + grace + _RETRY_SECONDS
        stopping = self._ending.begin_stop(status, record.kill.reason)
        stopping.add_done_callback(functools.partial(self._stopped, status.job_id))

    def _is_there(self, job_id: str) -> bool:
        return self._tracker.engine.status(job_id) is not None

    def _stopped(self, job_id: str, stopping: Future[None]) -> None:
        """Go on when a stop has ended; runs in the thread of the stop."""
        error = stopping.exception()
        if error is not None:
            self._failed(job_id, "end", error)
        self._later(job_id, "end")
        with self._idle:
            self._busy.pop(job_id, None)
            self._idle.notify_all()
        refresh = functools.partial(self._refresh, job_id)
        self._start(_Task(job_id, "refresh", refresh))

    def _refresh(self, job_id: str) -> None:
        """Look at a job now instead of waiting for the stream."""
        status = self._tracker.engine.status(job_id)
        if status is None or not self._tracker.on_seen(status, looked=True):
            self._tracker.on_gone(job_id)

    def remove(self, status: JobStatus) -> None:
        """Remove the object of an ended job, unless somebody else is still reading it."""
        tracker = self._tracker
        ledger = tracker.ledger
        holder = ledger.records.leased(status.job_id)
        if holder is not None and holder != ledger.holder:
            self._later(status.job_id, "remove")
            return
        self._ending.remove(status)
        with tracker.lock:
            tracker.ended.pop(status.job_id, None)
        ledger.observers.tell(EventKind.REMOVED, status.job_id)

    def flush(self) -> None:
        """Remove now what is due; called when the spawner is closed.

        A removal that is at work already is waited for: the process may end right afterwards.
        """
        if not self._tracker.ended:
            return
        present = self._tracker.ledger.present()
        with self._tracker.lock:
            self._tracker.held.clear()
            due = [e for e in self._tracker.ended.values() if self._is_removable(e, present)]
        for ended in due:
            job_id = ended.status.job_id
            self._take(job_id)
            if job_id in self._tracker.ended:
                self._guard(self._removal(ended))

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()

    def _take(self, job_id: str) -> None:
        """Become the only one at work on a job, as soon as nobody else is."""
        with self._idle:
            limit = self._settings.io_timeout_seconds
            self._idle.wait_for(lambda: job_id not in self._busy, timeout=limit)
            self._busy[job_id] = float("inf")

    def _renew(self) -> None:
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + _RENEW_SECONDS
        self._forget_pauses()
        ledger = self._tracker.ledger
        try:
            ledger.records.renew(holder=ledger.holder, seconds=LEASE_SECONDS)
        except SpawnerError as error:
            self._tracker.troubles.failed("leases cannot be renewed", error)

    def _forget_pauses(self) -> None:
        """Drop pauses that are over: their jobs may be gone, and nobody asks for them again."""
        now = time.monotonic()
        for key in [key for key, until in list(self._not_before.items()) if until <= now]:
            self._not_before.pop(key, None)


def _was_made(record: Record) -> bool:
    """Tell whether a job may have an object: its record says so, or that it was to be ended."""
    return record.created_at is not None or record.kill is not None

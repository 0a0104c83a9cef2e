"""The way of one spawn: record the intent, make the object, mark it, start it; only once.

What makes "one id, one object" hold (promise P1):

* the intent is recorded before the engine is asked, under a lease, so one caller acts at a time;
* the record is marked ``created`` before the job can run, so a job that may have run is never
  made again, even when its object is gone;
* a reply that was lost is resolved by looking, never by a second name.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from attrs import evolve, frozen

from spawnery.contract.declaration import LABEL_RECORD_ID
from spawnery.contract.records import Begun, Record
from spawnery.contract.requests import Deadline, SpawnRequest
from spawnery.errors import (
    Ambiguous,
    EngineUnreachable,
    SpawnerError,
    SpawnFailed,
    SpecConflict,
)
from spawnery.lifecycle.calls import Ending, Engine
from spawnery.lifecycle.ledger import Ledger
from spawnery.lifecycle.upkeep import LEASE_SECONDS
from spawnery.model.job import JobSpec
from spawnery.model.outcome import (
    EventKind,
    JobEvent,
    JobHandle,
    JobState,
    JobStatus,
    KillReason,
    Outcome,
)

_ATTEMPTS: Final = 5
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_POLL_SECONDS: Final = 0.02


class OneAtATime:
    """A lock per job id, gone when nobody uses it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def __call__(self, job_id: str) -> Iterator[None]:
        """Hold the lock of a job id."""
        with self._guard:
            lock, users = self._locks.get(job_id, (threading.Lock(), 0))
            self._locks[job_id] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[job_id]
                if users == 1:
                    del self._locks[job_id]
                else:
                    self._locks[job_id] = (lock, users - 1)


@frozen(kw_only=True)
class Spawning:
    """Spawns jobs.

    Attributes:
        engine: The spawner.
        ending: Stops and removes.
        ledger: The records.
        settle: Tells waiters of an end.
        patience: How long, in seconds, lost replies and other callers are waited for.
        abandon: Told of the engine's ids of objects that were removed again.
        emit: Told what a spawn waits for.
    """

    engine: Engine
    ending: Ending
    ledger: Ledger
    settle: Callable[[Record], None]
    patience: float
    abandon: Callable[[Sequence[str]], None]
    emit: Callable[[JobEvent], None]

    def spawn(
        self,
        intent: Record,
        build: Callable[[Callable[[str], None]], SpawnRequest],
    ) -> JobHandle:
        """Make sure that the job of this intent exists, and say whether this call made it.

        Args:
            intent: The record to begin with.
            build: Completes the request (review, environment, network); called only when the
                engine is to be asked. Its argument marks the record.
        """
        known = self.ledger.records.get(intent.job_id)
        if known is not None and self._is_done(known, intent):
            return _handle(known)
        marked: list[str] = []
        request = build(lambda engine_id: self._mark(intent.job_id, engine_id, marked))
        begun = self._begin(intent)
        if not begun.leased or (not begun.inserted and self._is_done(begun.record, intent)):
            return _handle(begun.record)
        if request.record_id != begun.record.record_id:
            request = _identified(request, begun.record)
        return self._ask(request, begun.record, marked)

    # -- the record --------------------------------------------------------------------------

    def _begin(self, intent: Record) -> Begun:
        """Take the job's lease; not leased when another caller has spawned the job meanwhile."""
        records, holder = self.ledger.records, self.ledger.holder
        deadline = Deadline.after(self.patience * 2)
        while True:
            begun = records.begin(intent, holder=holder, seconds=LEASE_SECONDS)
            _same_spec(begun.record, intent)
            there = begun.record.created_at is not None or begun.record.outcome is not None
            if begun.leased or there:
                return begun
            if deadline.expired:
                msg = f"another process has been spawning job {intent.job_id} for too long"
                raise Ambiguous(msg, job_id=intent.job_id, hint="try again")
            time.sleep(_POLL_SECONDS)

    def _is_done(self, record: Record, intent: Record) -> bool:
        """Tell whether nothing is left to do: it ended, or its object was started."""
        _same_spec(record, intent)
        if record.outcome is not None:
            return True
        if record.created_at is None:
            return False
        status = self.engine.status(record.job_id)
        if status is None or not self.ledger.concerns(record, status):
            return True  # it may have run: never again
        return status.launched

    def _mark(
        self, job_id: str, engine_id: str, marked: list[str], *, record_id: str | None = None
    ) -> None:
        """Record that the object exists and may run from now on, unless the job was stopped."""
        marked.append(engine_id)
        now = self.ledger.clock.now()
        record = self.ledger.records.created(
            job_id, engine_id=engine_id, at=now, record_id=record_id
        )
        if record.kill is not None:
            msg = f"job {job_id} was stopped before it started"
            raise SpawnFailed(msg, cause="cancelled", job_id=job_id)

    # -- the engine --------------------------------------------------------------------------

    def _ask(self, request: SpawnRequest, record: Record, marked: list[str]) -> JobHandle:
        """Ask the engine until it is clear what came of it; of errors the first is told."""
        pause = _FIRST_PAUSE
        first: Ambiguous | None = None
        for attempt in range(_ATTEMPTS):
            try:
                handle = self.engine.spawn(request)
            except Ambiguous as error:
                first = first or error
                found = self._resolve(request, error)
                if found is not None:
                    return found
                if not error.retryable or request.cancellation.requested:
                    return self._failed(request, record, first, marked)
            except SpawnerError as error:
                return self._failed(request, record, error, marked, before=first)
            else:
                return self._confirm(request, handle, marked, first=attempt == 0)
            if attempt < _ATTEMPTS - 1:
                self._tell_retry(record.job_id, first)
                request.cancellation.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            # What is left of the limit of a call that had no answer in time is nothing.
            request = evolve(request, deadline=self.engine.limit())
        raise first or AssertionError

    def _tell_retry(self, job_id: str, first: Ambiguous | None) -> None:
        """Tell observers and other processes why the job is not there yet."""
        why = "" if first is None else f": {first.message}"
        self.emit(
            JobEvent(
                id=uuid.uuid4().hex,
                kind=EventKind.PROGRESS,
                job_id=job_id,
                time=self.ledger.clock.now(),
                message=f"trying again to create it{why}",
                cause=None if first is None else first.cause,
            )
        )

    def _confirm(
        self, request: SpawnRequest, handle: JobHandle, marked: list[str], *, first: bool
    ) -> JobHandle:
        other = handle.record_id if handle.record_id != request.record_id else None
        if not marked or other is not None:
            # What was there before its record carries an id of its own.
            self._mark(handle.job_id, handle.engine_id or handle.name, marked, record_id=other)
        if first or handle.created:
            return handle
        # An earlier attempt of this call made the object, and its reply was lost.
        return _handle_of(request, handle.engine_id, created=True)

    def _resolve(self, request: SpawnRequest, error: Ambiguous) -> JobHandle | None:
        """Look what a call without a reply did; None when it is to be repeated."""
        status = self._look(request, error)
        record = self.ledger.records.get(request.job.job_id)
        created = record is not None and record.created_at is not None
        if status is not None and status.launched:
            if not created and status.spec_hash != request.spec_hash:
                return None
            engine_id = status.engine_id or status.name
            if not created:
                self._mark(status.job_id, engine_id, [], record_id=status.record_id)
            return _handle_of(request, engine_id, created=True)
        if status is None and created and record is not None:
            # It may have run and be gone: never again. The tracker tells what became of it.
            return _handle_of(request, record.engine_id, created=True)
        return None

    def _look(self, request: SpawnRequest, error: Ambiguous) -> JobStatus | None:
        """Look at the job until the engine answers, or the job is stopped."""
        deadline = Deadline.after(self.patience)
        pause = _FIRST_PAUSE
        while True:
            try:
                return self.engine.status(request.job.job_id)
            except SpawnerError as failure:
                if deadline.expired or not failure.retryable:
                    raise error from None
            if request.cancellation.wait(pause):
                raise _stopped_unseen(error, request.job.job_id)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _failed(
        self,
        request: SpawnRequest,
        record: Record,
        error: SpawnerError,
        marked: list[str],
        before: Ambiguous | None = None,
    ) -> JobHandle:
        """Give up: what was made is removed first, then the end is recorded or the error raised.

        Args:
            request: Of the spawn.
            record: Of the job.
            error: Why.
            marked: The engine's ids of objects that may have run.
            before: Why there was a second attempt; a look has found nothing of the first.
        """
        if before is not None:
            error.hint = "\n".join(
                filter(None, [error.hint, f"an attempt before that failed too: {before.message}"])
            )
        if not marked:
            return self._refused(request, record, error, clear=before is not None)
        if isinstance(error, EngineUnreachable):
            raise error
        status = self.engine.status(record.job_id)
        if status is not None and not status.launched:
            self.ending.remove(status)
        kept = self.ledger.records.get(record.job_id)
        if kept is None or kept.created_at is None:
            if status is None or not status.launched:
                self.abandon(marked)
            self.ledger.records.withdraw(record.job_id)
            raise error
        if status is None or not status.launched:
            self.settle(self.ledger.finish(kept, _start_failure(error)))
        return _handle_of(request, kept.engine_id, created=True)

    def _refused(
        self, request: SpawnRequest, record: Record, error: SpawnerError, *, clear: bool
    ) -> JobHandle:
        """Give up a job that was never marked: nothing of it can have run.

        A job that was stopped meanwhile has its outcome; of any other no record stays.
        """
        if clear or isinstance(error, Ambiguous):
            with contextlib.suppress(SpawnerError):
                self._clear(request)
        kept = self.ledger.records.get(record.job_id)
        if kept is not None and kept.kill is not None:
            self._clear(request)
            self.settle(self.ledger.finish(kept, _start_failure(error)))
            return _handle_of(request, None, created=True)
        self.ledger.records.withdraw(record.job_id)
        raise error

    def _clear(self, request: SpawnRequest) -> None:
        """Remove what a spawn without a clear answer has made, where it was never started."""
        status = self.engine.status(request.job.job_id)
        if status is None or status.spec_hash != request.spec_hash:
            return
        if status.launched and status.outcome is None:
            self.ending.stop(status, KillReason.STOP, grace=0)
        self.ending.remove(status)


def _identified(request: SpawnRequest, record: Record) -> SpawnRequest:
    """Let the object carry the id of the record that was found, which may be an older one."""
    labels = {k: v for k, v in request.labels.items() if k != LABEL_RECORD_ID}
    if record.record_id is not None:
        labels[LABEL_RECORD_ID] = record.record_id
    return evolve(request, record_id=record.record_id, labels=labels)


def _same_spec(record: Record, intent: Record) -> None:
    if record.spec_hash in {"", intent.spec_hash}:
        return
    msg = (
        f"job {intent.job_id} exists with another spec"
        f" (hash {record.spec_hash}, asked for {intent.spec_hash})"
    )
    hint = f"choose another job id, or forget that job: spawnery rm {intent.job_id}"
    raise SpecConflict(msg, job_id=intent.job_id, hint=hint)


def _handle(record: Record) -> JobHandle:
    return JobHandle(
        job_id=record.job_id,
        name=record.name,
        engine_id=record.engine_id,
        created=False,
        record_id=record.record_id,
    )


def _handle_of(request: SpawnRequest, engine_id: str | None, *, created: bool) -> JobHandle:
    return JobHandle(
        job_id=request.job.job_id,
        name=request.name,
        engine_id=engine_id,
        created=created,
        record_id=request.record_id,
    )


def _stopped_unseen(error: Ambiguous, job_id: str) -> Ambiguous:
    """Say that a job was stopped while nobody could tell what a request for it has done."""
    msg = f"cancelled while looking whether job {job_id} was created: {error.message}"
    hint = "once the engine answers, remove what may be there: spawnery reap"
    return Ambiguous(msg, cause="cancelled", job_id=job_id, hint=hint)


def _start_failure(error: SpawnerError) -> Outcome:
    return Outcome(
        state=JobState.FAILED,
        cause=error.cause,
        message=error.message,
        hint=error.hint,
        log_tail_missing="the program never ran",
    )


def expected(request_name: str, intent: Record, spec: JobSpec) -> JobStatus:
    """Return what is known of a job that is being spawned."""
    return JobStatus(
        job_id=intent.job_id,
        state=JobState.PENDING,
        name=request_name,
        spec_hash=intent.spec_hash,
        labels=dict(spec.labels),
        deadline_seconds=spec.deadline_seconds,
        start_deadline_seconds=spec.start_deadline_seconds,
        retention_seconds=spec.retention_seconds or 0,
    )

"""Follows all jobs of the instance over one ``watch``: waiters share it, a lost stream re-lists.

Two threads, whatever the number of jobs: one reads the stream, the other one (``upkeep``) does
what time asks for. The stream's events are hints; a job is only judged lost when, some seconds
after its object went, the engine is asked once more and nobody else holds evidence.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import evolve, frozen

from spawnery.contract.requests import Cancellation, WatchRequest
from spawnery.contract.streams import JobStream
from spawnery.errors import SpawnerError, StreamLost
from spawnery.lifecycle.decisions.evidence import is_named, same_object
from spawnery.lifecycle.troubles import Troubles
from spawnery.model.outcome import (
    EventKind,
    JobGone,
    JobSeen,
    JobState,
    JobStatus,
    Outcome,
    WatchEvent,
)

if TYPE_CHECKING:
    import logging

    from spawnery.contract.records import Record
    from spawnery.lifecycle.calls import Engine
    from spawnery.lifecycle.ledger import Ledger

T = TypeVar("T")
Waiter = Callable[[Outcome | SpawnerError], None]
Listener = Callable[[JobStatus], None]

_ABANDONED: Final = 1000
"""Objects whose late events are remembered to be nothing; they come within seconds."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
_DEAF_SECONDS: Final = 60.0
"""How long a stream that broke is waited for; then jobs are judged by looking alone."""


@frozen
class Ended:
    """An ended job whose object is still there: its record, and the object as it was seen."""

    record: Record
    status: JobStatus


class Tracker:
    """What this process knows of the jobs of its instance.

    Args:
        engine: The spawner.
        ledger: Where outcomes are recorded.
        settle_seconds: How long evidence may lag behind a vanished object.
        logger: Where broken streams are told.
        start_thread: Starts a daemon thread.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        ledger: Ledger,
        settle_seconds: float,
        logger: logging.Logger,
        start_thread: Callable[[str, Callable[[], None]], object],
    ) -> None:
        self.engine = engine
        self.ledger = ledger
        self._settle = settle_seconds
        self._logger = logger
        self._start_thread = start_thread
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.live: dict[str, JobStatus] = {}
        self.ended: dict[str, Ended] = {}
        self.absent: dict[str, float] = {}
        self.held: collections.Counter[str] = collections.Counter()
        self.spawning: dict[str, list[Cancellation]] = {}
        self.closed = False
        self.closing = threading.Event()
        self.troubles = Troubles(logger, closing=self.closing)
        self._waiters: dict[str, list[Waiter]] = {}
        self._listeners: list[Listener] = []
        self._stream: JobStream[WatchEvent] | None = None
        self._started = False
        self._place: str | None = None
        self._deaf_since: float | None = None
        self._abandoned: collections.deque[str] = collections.deque(maxlen=_ABANDONED)

    # -- life --------------------------------------------------------------------------------

    def start(self) -> bool:
        """Begin to watch, once; True for the call that did."""
        with self.lock:
            if self._started or self.closed:
                return False
            self._started = True
        self._start_thread("spawnery-watch", self._watch)
        return True

    def close(self) -> None:
        """Stop watching; jobs go on, waiters are told."""
        with self.lock:
            self.closed = True
            self.closing.set()
            stream, self._stream = self._stream, None
            waiting = list(self._waiters)
            self.changed.notify_all()
        if stream is not None:
            stream.close()
        for job_id in waiting:
            self._notify(job_id, _closed())

    # -- the stream --------------------------------------------------------------------------

    def _watch(self) -> None:
        cursor: str | None = None
        pause = _FIRST_PAUSE
        while not self.closed:
            before = cursor
            try:
                cursor = self._read(cursor)
            except StreamLost as lost:
                cursor = lost.cursor
                self._logger.info("watch lost, opening it again: %s", lost.message)
            except SpawnerError as error:
                cursor = None
                self.troubles.failed("watch failed, trying again", error)
            except Exception as error:  # noqa: BLE001 - every waiter depends on this thread
                cursor = None
                broken = self.engine.foreign("watch", error, None)
                self.troubles.failed("watch failed, trying again", broken)
            pause = _FIRST_PAUSE if cursor != before else min(pause * 2, _LONGEST_PAUSE)
            with self.changed:
                if not self.closed:
                    self.changed.wait(pause)

    def _read(self, cursor: str | None) -> str | None:
        """Read one stream to its end; returns where to go on."""
        if self._has_moved():
            cursor = None
        stream = self.engine.watch(WatchRequest(cursor=cursor))
        with self.lock:
            if self.closed:
                stream.close()
                return cursor
            self._stream = stream
        try:
            if cursor is not None:
                self.reconcile()
            listing, seen = cursor is None, set[str]()
            for event in stream:
                cursor = event.cursor or cursor
                if isinstance(event, JobSeen):
                    if self.on_seen(event.status, listed=listing):
                        seen.add(event.status.job_id)
                elif isinstance(event, JobGone):
                    self.on_event_gone(event)
                else:
                    self._on_synced(seen if listing else None)
                    listing, seen = False, set()
        finally:
            stream.close()
            if self._deaf_since is None:
                self._deaf_since = time.monotonic()
        return cursor

    def _on_synced(self, seen: set[str] | None) -> None:
        if seen is not None:
            self._missing(seen)
        self._deaf_since = None

    def deaf(self) -> bool:
        """Tell whether the stream broke and has not told yet what happened meanwhile."""
        since = self._deaf_since
        return since is not None and time.monotonic() - since < _DEAF_SECONDS

    def _has_moved(self) -> bool:
        """Ask where the jobs live; True where the engine is another one than before."""
        placement, before = self.ledger.placement, self._place
        placement.renew()
        self._place = placement.key
        moved = before is not None and before != self._place
        if moved:
            self._forget_place()
        return moved

    def _forget_place(self) -> None:
        """Drop what is known of jobs: the engine is another one now, and they are not in it."""
        self._logger.warning(
            "the engine is another one than before: jobs that lived in the first are left alone"
            " (spawnery places lists where they are)"
        )
        with self.changed:
            self.live.clear()
            self.ended.clear()
            self.absent.clear()
            waiting = list(self._waiters)
            self.changed.notify_all()
        for job_id in waiting:
            msg = f"job {job_id} lives in another place: the engine is another one than before"
            hint = "spawnery places shows where; point the spawner there again"
            error = SpawnerError(msg, cause="place.changed", job_id=job_id, hint=hint)
            self._notify(job_id, error)

    def relist(self) -> None:
        """Take the whole list, after a look at whether the engine is still the same."""
        self._has_moved()
        self.reconcile()

    def reconcile(self) -> None:
        """Take the whole list: the truth, where the stream may have missed something."""
        statuses = self.engine.list_jobs()
        self._missing({status.job_id for status in statuses if self.on_seen(status, listed=True)})

    def _missing(self, there: set[str]) -> None:
        """Look after jobs that should be there and are not."""
        with self.lock:
            known = set(self.live) | set(self.ended)
        for job_id in known - there:
            self.on_gone(job_id)
        for record in self.ledger.records.unfinished():
            if record.job_id not in there and record.created_at is not None:
                self.on_gone(record.job_id)

    def on_seen(self, status: JobStatus, *, listed: bool = False, looked: bool = False) -> bool:
        """Take in what the engine says of a job.

        Args:
            status: The job.
            listed: It was in a list: the object was there a moment ago.
            looked: The engine was asked for this very job: the object is there.

        Returns:
            Whether it is evidence about the job that bears the id now.
        """
        job_id = status.job_id
        if status.engine_id in self._abandoned or self.spawns_again(status):
            return False
        record, believed = self._believe(status, listed=listed, looked=looked)
        if not believed:
            return False
        if status.outcome is not None:
            self._finish(status, record)
            return True
        if record is not None and record.outcome is not None:
            return True  # a list may be older than the end that was seen
        with self.changed:
            before = self.live.get(job_id)
            ended = self.ended.get(job_id)
            if ended is not None and same_object(ended.status, status):
                return True
            self.ended.pop(job_id, None)
            self.live[job_id] = status
            self.absent.pop(job_id, None)
            self.changed.notify_all()
        if status.state is JobState.RUNNING and (before is None or before.state != status.state):
            self.ledger.observers.tell(EventKind.RUNNING, job_id)
        if before != status:
            self._tell(status)
        return True

    def _believe(
        self, status: JobStatus, *, listed: bool, looked: bool
    ) -> tuple[Record | None, bool]:
        """Tell whether evidence belongs to the present job of its id; with the record, if read.

        Evidence of an object that is in no record makes none: the engine is asked for the job.
        An end that does not name its object is confirmed in the same way.
        """
        job_id = status.job_id
        with self.lock:
            known = self.live.get(job_id)
            spawning = job_id in self.spawning
        if status.outcome is None and known is not None and known.engine_id is not None:
            identity = known.engine_id, known.record_id
            if identity == (status.engine_id, status.record_id):
                return None, True
        record = self.ledger.records.get(job_id)
        if record is None:
            if looked or (listed and status.outcome is None):
                return None, True
            self._look_at(job_id)
            return None, False
        if not self.ledger.concerns(record, status):
            return record, False
        if not (looked or spawning or status.outcome is None or is_named(record, status)):
            self._look_at(job_id)
            return record, False
        return self.ledger.located(record), True

    def _look_at(self, job_id: str) -> None:
        """Let the engine be asked for a job now."""
        with self.changed:
            self.absent.setdefault(job_id, time.monotonic())
            self.changed.notify_all()

    def on_event_gone(self, event: JobGone) -> None:
        """Take in that an object went, where it is the present one of its job."""
        with self.lock:
            known = self.live.get(event.job_id)
            ended = self.ended.get(event.job_id)
        if known is None and ended is not None:
            known = ended.status
        if known is not None and not same_object(known, event):
            return
        record = self.ledger.records.get(event.job_id)
        if record is None or self.ledger.concerns(record, event):
            self.on_gone(event.job_id)

    def on_gone(self, job_id: str) -> None:
        """Look again in a while: the object of a job is no longer there."""
        with self.changed:
            self.live.pop(job_id, None)
            if self.ended.pop(job_id, None) is None:
                self.absent.setdefault(job_id, time.monotonic() + self._settle)
            self.changed.notify_all()

    def _finish(self, status: JobStatus, record: Record | None) -> None:
        """Record the end that the engine shows, and tell everybody who waits.

        Args:
            status: The job, ended.
            record: Its record; None where it has none and its object is in the engine now.
        """
        with self.changed:
            ended = self.ended.get(status.job_id)
            if ended is not None and same_object(ended.status, status):
                return
            spawning = status.job_id in self.spawning
        new = record is None
        record = record or self.ledger.from_object(status)
        if spawning and record.created_at is None:
            # Nothing of it can have run yet, or its spawn will find out.
            return
        record = self.ledger.finish(record, status.outcome, new=new)
        if record.outcome is None:
            return
        with self.changed:
            self.live.pop(status.job_id, None)
            self.absent.pop(status.job_id, None)
            self.ended[status.job_id] = Ended(record, status)
            self.changed.notify_all()
        self.settle(record, status)

    def settle(self, record: Record, status: JobStatus | None = None) -> None:
        """Tell everybody who waits that a job has its outcome."""
        if record.outcome is None:
            return
        with self.lock:
            self.live.pop(record.job_id, None)
            self.absent.pop(record.job_id, None)
            held = record.job_id in self.held
        if not held:
            self._release(record.job_id)
        self._notify(record.job_id, record.outcome)
        self._tell(ended_status(record, status))

    def _release(self, job_id: str) -> None:
        """Give back the lease that said that evidence of the job is to be expected from us."""
        self.ledger.records.release(job_id, holder=self.ledger.holder)

    # -- who wants to know -------------------------------------------------------------------

    def add_waiter(self, job_id: str, waiter: Waiter) -> None:
        """Call ``waiter`` once, with the outcome of a job or with the error of waiting for it."""
        with self.changed:
            self._waiters.setdefault(job_id, []).append(waiter)
            closed = self.closed
            if job_id not in self.live:
                self.absent.setdefault(job_id, time.monotonic())
                self.changed.notify_all()
        if closed:
            self._notify(job_id, _closed())

    def remove_waiter(self, job_id: str, waiter: Waiter) -> None:
        """Forget a waiter that no longer waits."""
        with self.lock:
            waiting = self._waiters.get(job_id, [])
            if waiter in waiting:
                waiting.remove(waiter)
            if not waiting:
                self._waiters.pop(job_id, None)

    def fail_waiters(self, job_id: str, error: SpawnerError) -> None:
        """Tell everybody who waits for a job that there is nothing to wait for."""
        with self.lock:
            self.absent.pop(job_id, None)
        self._notify(job_id, error)

    def _notify(self, job_id: str, result: Outcome | SpawnerError) -> None:
        with self.lock:
            waiting = self._waiters.pop(job_id, [])
        self._call(waiting, result)

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` at each change of any job, and now for each job that is known."""
        with self.lock:
            known = [*self.live.values()]
            self._listeners.append(listener)
        for status in known:
            listener(status)

    def unlisten(self, listener: Listener) -> None:
        """Forget a listener."""
        with self.lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _tell(self, status: JobStatus) -> None:
        with self.lock:
            listeners = list(self._listeners)
        self._call(listeners, status)

    def _call(self, callables: Iterable[Callable[[T], object]], value: T) -> None:
        """Call each; one that fails keeps the others from nothing."""
        for call in callables:
            try:
                call(value)
            except Exception as error:  # noqa: BLE001 - belongs to whoever gave it to us
                self._logger.warning("a callback for jobs failed: %r", error)

    # -- log readers -------------------------------------------------------------------------

    def hold(self, job_id: str) -> None:
        """Keep the ended job's object while its log is being read here."""
        with self.lock:
            self.held[job_id] += 1

    def let_go(self, job_id: str) -> None:
        """Undo one ``hold``."""
        with self.changed:
            self.held[job_id] -= 1
            free = self.held[job_id] <= 0
            if free:
                del self.held[job_id]
            ended = job_id not in self.live
            self.changed.notify_all()
        if free and ended:
            self._release(job_id)

    # -- spawns of this process --------------------------------------------------------------

    def spawns_again(self, status: JobStatus) -> bool:
        """Tell whether an object that is gone and never ran is no end of its job.

        Whoever spawns the job at the moment makes another one.
        """
        if not status.never_ran:
            return False
        with self.lock:
            if status.job_id in self.spawning:
                return True
        holder = self.ledger.records.leased(status.job_id)
        return holder is not None and holder != self.ledger.holder

    def abandon(self, engine_ids: Iterable[str]) -> None:
        """Take in nothing of objects that a spawn made and removed again: they were no job."""
        with self.lock:
            self._abandoned.extend(engine_ids)

    def expect(self, status: JobStatus, cancellation: Cancellation) -> None:
        """Register a job as being spawned here, until the engine reports it."""
        with self.lock:
            self.spawning.setdefault(status.job_id, []).append(cancellation)
            if status.job_id not in self.ended:
                self.live.setdefault(status.job_id, status)

    def spawned(self, job_id: str, cancellation: Cancellation, *, there: bool) -> None:
        """Undo one ``expect``; ``there`` tells whether the job is to be followed from now on."""
        with self.lock:
            self.spawning[job_id].remove(cancellation)
            if not self.spawning[job_id]:
                del self.spawning[job_id]
            known = self.live.get(job_id)
            if not there and known is not None and known.accepted_at is None:
                del self.live[job_id]
                self.absent.pop(job_id, None)

    def cancel(self, job_id: str) -> None:
        """Tell the spawns of a job that are under way here that it was stopped."""
        with self.lock:
            waiting = list(self.spawning.get(job_id, ()))
        for cancellation in waiting:
            cancellation.cancel()


def _closed() -> SpawnerError:
    return SpawnerError("the spawner was closed while waiting", cause="spawner.closed")


def ended_status(record: Record, status: JobStatus | None = None) -> JobStatus:
    """Make the status of an ended job from its record, and its object where there is one."""
    outcome = record.ended
    if status is not None:
        return evolve(status, state=outcome.state, outcome=outcome)
    return JobStatus(
        job_id=record.job_id,
        state=outcome.state,
        name=record.name,
        engine_id=record.engine_id,
        spec_hash=record.spec_hash,
        accepted_at=record.created_at,
        started_at=outcome.started_at,
        retention_seconds=record.retention_seconds,
        cause=outcome.cause,
        message=outcome.message,
        hint=outcome.hint,
        outcome=outcome,
    )

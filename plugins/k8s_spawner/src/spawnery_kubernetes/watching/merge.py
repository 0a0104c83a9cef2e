"""Joins what is heard of Jobs and of pods to one stream of changes to jobs.

Two threads read, one judges and tells; a read of a log's end, or of events, is done by workers, so
that many ends at once hold nobody up.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from typing import Any, Final, Generic

from attrs import evolve, frozen
from spawnery.contract import SpawnerRuntime
from spawnery.errors import SpawnerError, StreamLost
from spawnery.model import JobGone, JobSeen, JobStatus, Synced, WatchEvent

from spawnery_kubernetes.informer.cache import Cache, Entry
from spawnery_kubernetes.informer.events import Rounds, Stuck
from spawnery_kubernetes.informer.reflector import Change, F, Listing, Reflector
from spawnery_kubernetes.jobs.endings import Judge
from spawnery_kubernetes.objects.facts import JobFacts, PodFacts
from spawnery_kubernetes.objects.versions import Cursor, is_covered

_TICK_SECONDS: Final = 1.0
_LAG_SECONDS: Final = 1.0
"""By so much what is heard of a pod may be behind what is heard of its Job."""
_ROOM: Final = 1000
"""Changes that have been read and not told; with more the readers wait."""

Put = Callable[[WatchEvent], bool]
News = Callable[[], Iterable[str]]
"""Takes something in; returns the uids of the Jobs that it concerns."""
Listings = tuple[Listing[JobFacts], Listing[PodFacts]]


@frozen
class _Side(Generic[F]):
    """One of the two connections.

    Attributes:
        reflector: What it is read with.
        saw, absent: How the cache takes in an object, and a whole list.
        uid_of: The Job that an object belongs to.
    """

    reflector: Reflector[F]
    saw: Callable[[F], None]
    absent: Callable[[AbstractSet[str], str], set[str]]
    uid_of: Callable[[F], str | None]

    def take(self, news: Change[F] | Listing[F]) -> set[str]:
        """Let the cache take in what was heard; returns the uids of the Jobs concerned."""
        if isinstance(news, Listing):
            for item in news.items:
                self.saw(item)
            gone = self.absent({item.uid for item in news.items}, news.version)
            return gone | {uid for uid in map(self.uid_of, news.items) if uid is not None}
        if news.item is None:
            return set()
        self.saw(evolve(news.item, gone=True) if news.gone else news.item)
        uid = self.uid_of(news.item)
        return set() if uid is None else {uid}


class Feed:
    """One stream of changes.

    Args:
        jobs, pods: What is followed; both have begun.
        runtime: The host.
        cache, judge, stuck: The other parts.
    """

    def __init__(
        self,
        jobs: Reflector[JobFacts],
        pods: Reflector[PodFacts],
        runtime: SpawnerRuntime,
        *,
        cache: Cache,
        judge: Judge,
        stuck: Stuck,
    ) -> None:
        self._jobs = _Side(jobs, cache.saw_job, cache.absent_jobs, lambda job: job.uid)
        self._pods = _Side(pods, cache.saw_pod, cache.absent_pods, lambda pod: pod.job_uid)
        self._runtime = runtime
        self._cache = cache
        self._judge = judge
        self._stuck = stuck
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._room = threading.Semaphore(_ROOM)
        self._closed = threading.Event()
        self._told: dict[str, JobStatus | None] = {}
        self._unsettled: set[str] = set()
        self._failed: set[str] = set()
        self._lost_at: dict[str, float] = {}
        self._rounds = Rounds()
        self._asking = False
        self._tick_at = 0.0

    # -- life --------------------------------------------------------------------------------

    def run(self, listed: Listings, told: Cursor | None, put: Put, closed: threading.Event) -> None:
        """Tell of all that changes until it is closed; see ``ThreadedStream``.

        Args:
            listed: The whole lists.
            told: What was told already.
            put: Hands over.
            closed: Set when nobody reads any more.

        Raises:
            StreamLost: The cluster does not answer any more.
        """
        self._put = put
        self._heard = self._cursor = Cursor(listed[0].version, listed[1].version)
        try:
            concerned = self._jobs.take(listed[0]) | self._pods.take(listed[1])
            self._listen(self._jobs, "jobs")
            self._listen(self._pods, "pods")
            self._first(concerned, told)
            while self._unsettled and not closed.is_set():
                self._step()
            put(Synced(cursor=str(self._cursor)))
            while not closed.is_set():
                self._step()
        finally:
            self.close()

    def close(self) -> None:
        """End it, from any thread."""
        self._closed.set()
        self._jobs.reflector.close()
        self._pods.reflector.close()
        self._news.put(_nothing)

    def _first(self, concerned: Iterable[str], told: Cursor | None) -> None:
        for uid in concerned:
            entry = self._cache.get(uid)
            if told is not None and entry is not None and _was_told(entry, told):
                self._told[uid] = self._judge.look(uid)
            else:
                self._tell(uid)

    def _step(self) -> None:
        """Take in the next news, or do what time asks for."""
        left = self._tick_at - time.monotonic()
        try:
            news = self._news.get(timeout=left) if left > 0 else self._tick
        except queue.Empty:
            news = self._tick
        for uid in news():
            self._tell(uid)

    # -- reading -----------------------------------------------------------------------------

    def _listen(self, side: _Side[Any], kind: str) -> None:
        def read() -> None:
            try:
                for news in side.reflector.follow():
                    self._offer(functools.partial(self._take, side, kind, news))
            except SpawnerError as error:
                self._news.put(functools.partial(self._lost, str(error)))
            except Exception as error:  # noqa: BLE001 - whoever reads the stream is told
                self._news.put(functools.partial(self._lost, repr(error)))

        self._runtime.start_thread(f"spawnery-kubernetes-{kind}", read)

    def _offer(self, news: News) -> None:
        while not self._closed.is_set():
            if self._room.acquire(timeout=0.2):
                self._news.put(news)
                return

    def _take(self, side: _Side[Any], kind: str, news: Change[Any] | Listing[Any]) -> set[str]:
        self._room.release()
        self._heard = evolve(self._heard, **{kind: news.version})
        concerned = side.take(news)
        for uid in concerned if kind == "pods" else ():
            self._judge.listen(uid)
        self._move_on()
        return concerned

    def _move_on(self) -> None:
        """Move the cursor, but not past an end that is not told yet."""
        if not (self._unsettled or self._failed):
            self._cursor = self._heard

    def _lost(self, why: str) -> set[str]:
        raise StreamLost(why, cursor=str(self._cursor))

    # -- telling -----------------------------------------------------------------------------

    def _tell(self, uid: str) -> None:
        entry, status = self._cache.get(uid), self._judge.look(uid)
        if entry is None or entry.job is None or status is None:
            return
        if uid in self._told and self._told[uid] is None:
            return  # that it is gone was told
        if status.outcome is not None and entry.outcome is None:
            self._settle(uid)
            return
        lost = entry.over and status.outcome is None
        if lost and self._may_lag(uid):
            return
        if status != self._told.get(uid) and not lost:
            self._told[uid] = status
            self._put(JobSeen(status=status, cursor=str(self._cursor)))
        if entry.job.gone and (status.outcome is not None or lost):
            self._told[uid] = None
            self._lost_at.pop(uid, None)
            gone = JobGone(
                job_id=status.job_id,
                engine_id=uid,
                record_id=status.record_id,
                cursor=str(self._cursor),
            )
            self._put(gone)

    def _may_lag(self, uid: str) -> bool:
        """Tell whether the end of a Job that is gone may still be heard: pods are told of apart."""
        return time.monotonic() < self._lost_at.setdefault(uid, time.monotonic() + _LAG_SECONDS)

    def _settle(self, uid: str) -> None:
        """Let a worker find out all about an end."""
        if uid in self._unsettled:
            return
        self._unsettled.add(uid)
        found = self._judge.workers.submit(functools.partial(self._judge.status, uid))
        found.add_done_callback(lambda f: self._news.put(functools.partial(self._settled, uid, f)))

    def _settled(self, uid: str, found: Future[Any]) -> Iterable[str]:
        self._unsettled.discard(uid)
        error = found.exception()
        if error is not None:
            self._runtime.logger.info("how %s ended is looked into again: %s", uid, error)
            self._failed.add(uid)
            return ()
        self._move_on()
        return (uid,)

    # -- what time asks for ------------------------------------------------------------------

    def _tick(self) -> Iterable[str]:
        """Judge again what depends on the time, and ask for events where nothing moves."""
        self._tick_at = time.monotonic() + _TICK_SECONDS
        again, self._failed = self._failed, set()
        for uid in {*self._told, *self._lost_at}:
            if self._cache.get(uid) is None:
                self._told.pop(uid, None)
                self._lost_at.pop(uid, None)
        statuses = [status for status in self._told.values() if status is not None]
        if not self._asking:
            due = self._rounds.due(statuses)
            self._asking = bool(due)
            if due:
                self._judge.workers.submit(functools.partial(self._ask, due))
        waiting = {s.engine_id for s in statuses if s.cause is not None and not s.fatal}
        return {*again, *self._lost_at, *(uid for uid in waiting if uid is not None)}

    def _ask(self, uids: Iterable[str]) -> None:
        """Ask for the events of jobs, one after the other."""
        try:
            for uid in uids:
                entry = self._cache.get(uid)
                if self._closed.is_set() or entry is None or entry.job is None:
                    continue
                self._cache.saw_events(uid, self._stuck.events_of(entry.job, entry.pods))
                self._news.put(functools.partial(_just, uid))
        except SpawnerError as error:
            self._runtime.logger.info("events could not be read: %s", error.message)
        finally:
            self._asking = False


def _was_told(entry: Entry, told: Cursor) -> bool:
    """Tell whether all that is known of a job had been told by then."""
    job = entry.job is None or is_covered(entry.job.resource_version, told.jobs)
    pods = (pod for pod in entry.pods if not pod.gone)
    return job and all(is_covered(pod.resource_version, told.pods) for pod in pods)


def _nothing() -> Iterable[str]:
    return ()


def _just(uid: str) -> Iterable[str]:
    return (uid,)

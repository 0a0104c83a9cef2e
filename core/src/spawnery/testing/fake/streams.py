"""The fake's two streams: changes of jobs, and a job's log."""

from __future__ import annotations

import collections
import threading
from datetime import UTC, datetime
from typing import Final

from spawnery.contract.streams import JobStream
from spawnery.errors import LogsUnavailable, StreamLost
from spawnery.model.outcome import JobGone, JobSeen, LogChunk, Synced, WatchEvent
from spawnery.testing.fake.engine import FakeEngine
from spawnery.testing.fake.job import FakeJob, Phase, status_of
from spawnery.testing.fake.program import environment
from spawnery.testing.fake.state import Change, State

_CHUNK: Final = 65536
_LONG: Final = 30.0


class FakeWatch(JobStream[WatchEvent]):
    """All changes to the jobs of an instance.

    Args:
        engine: The engine.
        instance: Whose jobs.
        owner: The spawner that watches: it alone sees the end of a job that went at its exit.
        cursor: Go on behind this change.
    """

    def __init__(
        self, engine: FakeEngine, *, instance: str, owner: str, cursor: str | None
    ) -> None:
        self._engine = engine
        self._instance = instance
        self._owner = owner
        self._closed = threading.Event()
        self._ready: collections.deque[WatchEvent] = collections.deque()
        self._cut: int | None = None
        self._at = self._begin(cursor)

    def cut_after(self, events: int) -> None:
        """Let the connection break after so many events."""
        self._cut = events

    def _begin(self, cursor: str | None) -> int:
        """Take what is there, or what came after the cursor; returns the last change's number."""
        with self._engine.state() as (state, now):
            if cursor is not None and cursor.isdecimal() and state.holds(int(cursor)):
                self._take(state, int(cursor), now)
            else:
                self._list(state, now)
            self._ready.append(Synced(cursor=str(state.seq)))
            return state.seq

    def _list(self, state: State, now: float) -> None:
        """Tell of every object, and of ends that only we have seen."""
        ours = [job for job in state.jobs.values() if job.instance == self._instance]
        ghosts = [g for g in state.ghosts.values() if g.auto_remove and g.owner == self._owner]
        self._ready.extend(JobSeen(status=status_of(job, now)) for job in (*ours, *ghosts))
        self._ready.extend(_gone(ghost) for ghost in ghosts)

    def _take(self, state: State, seq: int, now: float) -> None:
        for change in state.since(seq):
            if change.instance == self._instance:
                self._add(state, change, now)

    def _add(self, state: State, change: Change, now: float) -> None:
        cursor = str(change.seq)
        if change.gone:
            self._ready.append(
                JobGone(
                    job_id=change.job_id,
                    engine_id=change.engine_id,
                    record_id=change.record_id,
                    cursor=cursor,
                )
            )
            return
        job = state.by_id(change.engine_id)
        if job is not None and self._may_see(state, job):
            self._ready.append(JobSeen(status=status_of(job, now), cursor=cursor))

    def _may_see(self, state: State, job: FakeJob) -> bool:
        return job.engine_id not in state.ghosts or not job.auto_remove or job.owner == self._owner

    def __next__(self) -> WatchEvent:
        while not self._closed.is_set():
            if self._ready:
                self._count()
                return self._ready.popleft()
            with self._engine.state() as (state, now):
                self._take(state, self._at, now)
                self._at = state.seq
            if not self._ready:
                self._engine.wait(self._news, seconds=_LONG)
        raise StopIteration

    def _news(self, state: State) -> bool:
        return self._closed.is_set() or state.seq > self._at

    def _count(self) -> None:
        if self._cut is None:
            return
        if self._cut == 0:
            self._closed.set()
            msg = "the fake engine cut the watch"
            raise StreamLost(msg)
        self._cut -= 1

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        self._closed.set()
        self._engine.wake()


def _gone(job: FakeJob) -> JobGone:
    return JobGone(job_id=job.job_id or "", engine_id=job.engine_id, record_id=job.record_id)


class FakeLog(JobStream[LogChunk]):
    """The log of one object; the cursor is the number of bytes before it, both streams together.

    Args:
        engine: The engine.
        job: The object.
        position: Where to begin, in bytes.
        follow: Stay until the job ends.
        since: Leave out what was written before (seconds since the epoch).
    """

    def __init__(
        self, engine: FakeEngine, job: FakeJob, *, position: int, follow: bool, since: float
    ) -> None:
        self._engine = engine
        self._job = job
        self._env = environment(job.env)
        self._position = position
        self._follow = follow
        self._since = since
        self._closed = threading.Event()
        self._cut: int | None = None

    def cut_after(self, size: int) -> None:
        """Let the connection break after so many bytes."""
        self._cut = size

    def __next__(self) -> LogChunk:
        while not self._closed.is_set():
            with self._engine.state() as (state, now):
                seq = state.seq
                current = state.by_id(self._job.engine_id)
                self._job = current or self._job
                chunk = self._chunk(now)
                over = current is None or self._job.phase(now) is Phase.ENDED
            if chunk is not None:
                return self._limited(chunk)
            if over or not self._follow:
                break
            self._wait(seq, now)
        raise StopIteration

    def _wait(self, seq: int, now: float) -> None:
        """Wait for the next piece of the log, or for a change of the object."""
        next_at = _LONG
        if self._job.runs_at is not None:
            later = [
                self._job.runs_at + piece.at - now
                for piece in self._job.program.pieces
                if self._job.runs_at + piece.at > now
            ]
            next_at = min([_LONG, *later])
        self._engine.wait(lambda state: self._closed.is_set() or state.seq > seq, seconds=next_at)

    def _chunk(self, now: float) -> LogChunk | None:
        """Return what comes next, as far as it was written."""
        before = 0
        for at, piece in self._job.output(now):
            size = piece.size(self._env)
            if before + size > self._position and at >= self._since:
                begin = max(0, self._position - before)
                end = min(size, begin + _CHUNK)
                self._position = before + end
                data = piece.read(self._env, begin, end)
                return LogChunk(
                    stream=piece.stream,
                    data=data,
                    cursor=str(self._position),
                    time=datetime.fromtimestamp(at, UTC),
                )
            before += size
        return None

    def _limited(self, chunk: LogChunk) -> LogChunk:
        if self._cut is None or len(chunk.data) <= self._cut:
            self._cut = None if self._cut is None else self._cut - len(chunk.data)
            return chunk
        self._closed.set()
        msg = "the fake engine cut the log"
        raise StreamLost(msg, cursor=str(self._position - len(chunk.data)))

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        self._closed.set()
        self._engine.wake()


def open_log(
    engine: FakeEngine,
    name: str,
    *,
    instance: str,
    owner: str,
    cursor: str | None,
    follow: bool,
    since: datetime | None,
    tail_bytes: int,
) -> FakeLog:
    """Open the log of an object.

    Raises:
        LogsUnavailable: It is gone, and we did not listen.
    """
    with engine.state() as (state, now):
        job = state.jobs.get(name)
        if job is None:
            heard = (g for g in state.ghosts.values() if g.name == name and g.owner == owner)
            job = next((ghost for ghost in heard if ghost.follow), None)
        if job is None or job.instance != instance:
            msg = f"the fake engine has no object {name}, and the log went with it"
            hint = "keep the next one for a while: retention_seconds=900"
            raise LogsUnavailable(msg, hint=hint)
        env = environment(job.env)
        written = sum(piece.size(env) for _, piece in job.output(now))
    position = int(cursor) if cursor is not None else 0
    if tail_bytes and cursor is None:
        position = max(0, written - tail_bytes)
    return FakeLog(
        engine,
        job,
        position=position,
        follow=follow,
        since=0.0 if since is None else since.timestamp(),
    )

"""What the dispatchers of an instance remember of jobs, in Redis: one hash each, and who waits.

Every change is one transaction on watched keys, so that it is whole or not at all, and two
dispatchers cannot both make it. Server-side scripts are not used: the embedded server has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError
from spawnery.model import Outcome

from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.model.entries import TakenIn
from spawnery_dispatcher.model.models import Accepted, Ask, Ending, Entry, Phase, Refused, Wake
from spawnery_dispatcher.model.protocol import in_key, out_key
from spawnery_dispatcher.store import codec
from spawnery_dispatcher.store.clock import RedisClock
from spawnery_dispatcher.store.connection import is_conflict, slices
from spawnery_dispatcher.store.health import Forgotten
from spawnery_dispatcher.store.keys import Keys

Redis = Any
"""A ``redis.asyncio.Redis`` that decodes answers, which its own types do not know of."""
Pipeline = Any
T = TypeVar("T")

_VERSION: Final = "version"
_KEPT: Final = 1000
_STREAM_SECONDS: Final = 2 * 3600
"""How long the agent's own streams live after the last write, as the agent does it."""
_SERVED_SECONDS: Final = 86400
"""How long it counts that somebody had a turn."""
_WAKING: Final = {"phase": Wake.MOVED, "cancelled_by": Wake.CANCELLED}
"""Fields whose change is work for some dispatcher."""


class Store:
    """Entries of jobs.

    Args:
        redis: A client that decodes answers and repeats nothing by itself.
        keys: Of the instance.
        keep_seconds: How long an ended job is remembered.

    Attributes:
        clock: What all times in here are of, but those that a platform told.
    """

    def __init__(self, redis: Redis, keys: Keys, *, keep_seconds: float) -> None:
        self.redis = redis
        self.keys = keys
        self.clock = RedisClock(redis)
        self._keep = round(keep_seconds)

    # -- reading -----------------------------------------------------------------------------

    async def get(self, job_id: str) -> Entry | None:
        """Return the entry of a job."""
        fields = await self.redis.hgetall(self.keys.job(job_id))
        return codec.load(fields) if fields else None

    async def live(self) -> set[str]:
        """Return the ids of all jobs that have not ended."""
        return set(await self.redis.smembers(self.keys.live))

    async def waiting(self) -> list[str]:
        """Return the ids of the jobs that wait for room, first come first."""
        return list(await self.redis.zrange(self.keys.queue, 0, -1))

    async def waited(self, job_id: str) -> float:
        """Return for how many seconds a job has been in the queue; 0 where it is not."""
        since = await self.redis.zscore(self.keys.queue, job_id)
        return 0.0 if since is None else max(0.0, await self.clock.seconds() - since)

    async def served(self) -> dict[str, float]:
        """Return when the last job of each person left the queue, in seconds since 1970."""
        found = await self.redis.zrange(self.keys.served, 0, -1, withscores=True)
        return dict(found)

    async def serve(self, user: str) -> None:
        """Note that a job of a person leaves the queue now."""
        now = await self.clock.seconds()
        pipe = self.redis.pipeline(transaction=True)
        pipe.zadd(self.keys.served, {user: now})
        pipe.zremrangebyscore(self.keys.served, 0, now - _SERVED_SECONDS)
        await pipe.execute()

    async def positions(self, job_ids: Sequence[str]) -> list[int]:
        """Return the places in the queue that were written for jobs; 0 where none was."""
        pipe = self.redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.hget(self.keys.job(job_id), "position")
        return [int(text or 0) for text in await pipe.execute()]

    async def cancelled(self, job_ids: Collection[str]) -> list[str]:
        """Return those of the jobs that somebody wants stopped."""
        found: list[str] = []
        for part in slices(job_ids):
            pipe = self.redis.pipeline(transaction=False)
            for job_id in part:
                pipe.hget(self.keys.job(job_id), "cancelled_by")
            found += itertools.compress(part, await pipe.execute())
        return found

    async def of_channel(self, platform: str, channel: str) -> set[str]:
        """Return the live jobs of a channel."""
        return set(await self.redis.smembers(self.keys.channel(platform, channel)))

    async def lost_at(self) -> datetime | None:
        """Return when our memory was lost; None where it never was.

        Raises:
            Forgotten: Nobody has looked yet what this Redis remembers.
        """
        known, lost_at = await self.redis.hmget(self.keys.generation, "id", "lost_at")
        if known is None:
            raise Forgotten
        return datetime.fromisoformat(lost_at) if lost_at else None

    async def generation(self) -> str:
        """Return the id of what this Redis remembers; empty until that was looked at."""
        return await self.redis.hget(self.keys.generation, "id") or ""

    # -- taking in ---------------------------------------------------------------------------

    async def accept(self, ask: Ask, limits: Limits) -> Accepted | Refused:
        """Take a job in, once, whatever comes how often.

        Args:
            ask: The request.
            limits: How many a channel and the queue may have.
        """
        keys, place = self.keys, ask.place
        job, active = keys.job(ask.job_id), keys.active(ask.project, ask.issue)
        channel = keys.channel(place.platform, place.channel)
        now = await self.clock.seconds()

        async def change(pipe: Pipeline) -> Accepted | Refused:
            if fields := await pipe.hgetall(job):
                return Accepted(entry=codec.load(fields), new=False)
            if running := await pipe.get(active):
                return Refused(reason="issue", running=running)
            there = await pipe.smembers(channel)
            if len(there) >= limits.per_channel:
                return Refused(reason="channel", running=min(there))
            if await pipe.zcard(keys.queue) > limits.queue:
                return Refused(reason="queue")
            entry = Entry(ask=ask)
            pipe.multi()
            self._write(pipe, entry, now)
            pipe.zadd(keys.queue, {ask.job_id: now})
            # What an earlier job of this id said may outlive what we knew of it.
            pipe.delete(in_key(ask.job_id), out_key(ask.job_id))
            return Accepted(entry=entry, new=True)

        return await self._transaction(change, job, active, channel)

    async def readopt(self, entry: Entry) -> bool:
        """Take a job in again that our memory lost; False when it is known."""
        job = self.keys.job(entry.job_id)
        now = await self.clock.seconds()

        async def change(pipe: Pipeline) -> bool:
            if await pipe.hgetall(job):
                return False
            pipe.multi()
            self._write(pipe, entry, now)
            pipe.hset(job, "tried", "1")
            return True

        return await self._transaction(change, job)

    def _write(self, pipe: Pipeline, entry: Entry, now: float) -> None:
        keys, ask = self.keys, entry.ask
        fields = {**codec.dump(entry), _VERSION: "1"}
        pipe.hset(keys.job(ask.job_id), mapping=fields)
        pipe.set(keys.active(ask.project, ask.issue), ask.job_id)
        pipe.sadd(keys.channel(ask.place.platform, ask.place.channel), ask.job_id)
        pipe.sadd(keys.live, ask.job_id)
        pipe.zadd(keys.dirty, {ask.job_id: now})
        self._wake(pipe, ask.job_id, Wake.ROOM)

    # -- changing ----------------------------------------------------------------------------

    async def change(
        self,
        job_id: str,
        change: Callable[[Entry], Mapping[str, Any] | None],
        *,
        quiet: bool = False,
    ) -> Entry | None:
        """Change fields of a job that has not ended.

        Args:
            job_id: The job.
            change: Given the entry as it stands, returns fields to set, or None for no change;
                called again when somebody else was faster.
            quiet: Nobody needs to be told.

        Returns:
            The changed entry; None when nothing was changed, or the job has ended or is unknown.
        """
        job = self.keys.job(job_id)
        now = await self.clock.seconds()

        async def apply(pipe: Pipeline) -> Entry | None:
            fields = await pipe.hgetall(job)
            entry = codec.load(fields) if fields else None
            changes = change(entry) if entry is not None and entry.ending is None else None
            if changes is None:
                return None
            texts = {name: codec.dump_field(name, value) for name, value in changes.items()}
            pipe.multi()
            if texts:
                pipe.hset(job, mapping=texts)
            if changes.get("phase") not in {None, Phase.QUEUED}:
                pipe.zrem(self.keys.queue, job_id)
            if not quiet:
                self._tell(pipe, job_id, now)
            for name in _WAKING.keys() & changes.keys():
                self._wake(pipe, job_id, _WAKING[name])
            return codec.load({**fields, **texts})

        return await self._transaction(apply, job)

    async def witness(self, job_id: str, outcome: Outcome) -> bool:
        """Write what the engine says of the end, once; False when there was nothing to write."""

        def change(entry: Entry) -> Mapping[str, Any] | None:
            return {"outcome": outcome} if entry.outcome is None else None

        return await self.change(job_id, change, quiet=True) is not None

    async def take_in(self, changes: Iterable[TakenIn]) -> None:
        """Write what agents said, of all jobs of one read at once.

        It is not a change on watched keys: only the owner of a job reads its stream, and what a
        second reader would write is the same. The agent's first word on its end stays.
        """
        now = await self.clock.seconds()
        pipe = self.redis.pipeline(transaction=True)
        for taken in changes:
            job = self.keys.job(taken.job_id)
            fields = {"read": taken.read, "progress": taken.progress}
            if taken.question is not None:
                fields["question"] = taken.question
            pipe.hset(job, mapping={k: codec.dump_field(k, v) for k, v in fields.items()})
            if taken.agent_end is not None:
                pipe.hsetnx(job, "agent_end", codec.dump_field("agent_end", taken.agent_end))
            for position, said in taken.dead:
                entry = {"job": taken.job_id, "position": position, "why": said}
                pipe.xadd(self.keys.dead, entry, maxlen=_KEPT, approximate=True)
            if taken.visible:
                self._tell(pipe, taken.job_id, now)
        await pipe.execute()

    async def end(self, job_id: str, ending: Ending) -> bool:
        """Write how a job ended, once; False when it had been written or the job is unknown."""
        keys, job = self.keys, self.keys.job(job_id)
        now = await self.clock.seconds()

        async def change(pipe: Pipeline) -> bool:
            fields = await pipe.hgetall(job)
            if not fields or fields.get("ending"):
                return False
            ask = codec.load(fields).ask
            active = keys.active(ask.project, ask.issue)
            await pipe.watch(active)
            ours = await pipe.get(active) == job_id
            changes = {"ending": ending, "phase": Phase.ENDED, "question": None}
            pipe.multi()
            texts = {name: codec.dump_field(name, value) for name, value in changes.items()}
            pipe.hset(job, mapping=texts)
            pipe.expire(job, self._keep)
            if ours:
                pipe.delete(active)
            pipe.srem(keys.channel(ask.place.platform, ask.place.channel), job_id)
            pipe.srem(keys.live, job_id)
            pipe.zrem(keys.queue, job_id)
            for stream in (in_key(job_id), out_key(job_id)):
                pipe.expire(stream, _STREAM_SECONDS)
            self._tell(pipe, job_id, now)
            self._wake(pipe, job_id, Wake.ROOM)
            return True

        return await self._transaction(change, job)

    async def answer(self, job_id: str, question_id: str, fields: Mapping[str, str]) -> bool:
        """Send an answer to the agent, once; False when the question is not open (any more).

        Args:
            job_id: The job.
            question_id: The question.
            fields: The entry for the agent's stream.
        """
        job = self.keys.job(job_id)
        now = await self.clock.seconds()

        async def change(pipe: Pipeline) -> bool:
            found = await pipe.hgetall(job)
            entry = codec.load(found) if found else None
            question = entry.open_question if entry is not None else None
            if entry is None or entry.ending or not question or question.question_id != question_id:
                return False
            pipe.multi()
            pipe.xadd(in_key(job_id), dict(fields), maxlen=_KEPT, approximate=True)
            pipe.expire(in_key(job_id), _STREAM_SECONDS)
            pipe.hset(job, "answered", question_id)
            self._tell(pipe, job_id, now)
            return True

        return await self._transaction(change, job)

    # -- messages ----------------------------------------------------------------------------

    async def due(self) -> list[str]:
        """Return the jobs whose messages are to be brought up to date now."""
        now = await self.clock.seconds()
        return list(await self.redis.zrangebyscore(self.keys.dirty, 0, now, 0, 50))

    async def version(self, job_id: str) -> int:
        """Return the number of the last change that people are to see."""
        return int(await self.redis.hget(self.keys.job(job_id), _VERSION) or 0)

    async def latest(self, job_id: str) -> tuple[Entry | None, int]:
        """Return the entry of a job, and the number of the last change that people are to see."""
        fields = await self.redis.hgetall(self.keys.job(job_id))
        return codec.load(fields) if fields else None, int(fields.get(_VERSION) or 0)

    async def remember(self, job_id: str, **texts: str) -> bool:
        """Note facts on a job's messages, also after its end; True when the first was known.

        ``tried`` is noted before the first post, so that whoever repeats it looks for it first.
        """
        job = self.keys.job(job_id)
        pipe = self.redis.pipeline(transaction=True)
        pipe.hexists(job, next(iter(texts))).hset(job, mapping=texts)
        known, _ = await pipe.execute()
        return bool(known)

    async def shown(self, job_id: str, version: int, *, again_after: float = 0.0) -> None:
        """Note that people see this version; a later one stays due.

        Args:
            job_id: The job.
            version: That was sent.
            again_after: Least seconds until the next one is sent.
        """
        keys, job = self.keys, self.keys.job(job_id)
        now = await self.clock.seconds()

        async def change(pipe: Pipeline) -> None:
            latest = int(await pipe.hget(job, _VERSION) or 0)
            pipe.multi()
            if latest > version:
                pipe.zadd(keys.dirty, {job_id: now + again_after})
            else:
                pipe.zrem(keys.dirty, job_id)

        await self._transaction(change, job)

    async def later(self, job_id: str, seconds: float) -> None:
        """Put a message off, after a failure or because the platform wants fewer."""
        now = await self.clock.seconds()
        await self.redis.zadd(self.keys.dirty, {job_id: now + seconds}, xx=True)

    # -- inside ------------------------------------------------------------------------------

    def _tell(self, pipe: Pipeline, job_id: str, now: float) -> None:
        """Make a job's message due; one that is put off stays put off."""
        pipe.hincrby(self.keys.job(job_id), _VERSION, 1)
        pipe.zadd(self.keys.dirty, {job_id: now}, nx=True)

    def _wake(self, pipe: Pipeline, job_id: str, why: Wake) -> None:
        entry = {"job": job_id, "why": str(why)}
        pipe.xadd(self.keys.wake, entry, maxlen=_KEPT, approximate=True)

    async def _transaction(self, change: Callable[[Pipeline], Awaitable[T]], *watched: str) -> T:
        """Run a change on watched keys until nobody interferes.

        ``change`` reads through the pipeline, calls ``multi()`` and queues its writes; without
        ``multi()`` nothing is written.
        """
        while True:
            async with self.redis.pipeline(transaction=True) as pipe:
                try:
                    await pipe.watch(*watched)
                    result = await change(pipe)
                    if pipe.explicit_transaction:
                        await pipe.execute()
                except RedisError as error:
                    if is_conflict(error):
                        continue
                    raise
                return result

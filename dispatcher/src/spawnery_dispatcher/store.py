"""What the dispatchers of an instance remember of jobs, in Redis: one hash each, and who waits.

Every change is one transaction on watched keys, so that it is whole or not at all, and two
dispatchers cannot both make it. Server-side scripts are not used: the embedded server has none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from attrs import frozen
from redis.exceptions import WatchError
from spawnery.outcomes import Outcome

from spawnery_dispatcher import codec
from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.keys import Keys
from spawnery_dispatcher.models import AgentEnd, Ask, Ending, Entry, Phase

Redis = Any
"""A ``redis.asyncio.Redis`` that decodes answers, which its own types do not know of."""
Pipeline = Any
T = TypeVar("T")

_VERSION: Final = "version"
_SHOWN: Final = "shown"
_WAKES_KEPT: Final = 1000


@frozen(kw_only=True)
class Accepted:
    """A job that is in the store.

    Attributes:
        entry: As it stands.
        new: Whether this delivery brought it; otherwise it was there (a redelivery).
    """

    entry: Entry
    new: bool


@frozen(kw_only=True)
class Refused:
    """A job that is not taken in.

    Attributes:
        reason: ``issue`` (somebody works on it), ``channel`` (full) or ``queue`` (full).
        running: Id of the job that is in the way; empty for ``queue``.
    """

    reason: str
    running: str = ""


class Store:
    """Entries of jobs.

    Args:
        redis: A client that decodes answers and repeats nothing by itself.
        keys: Of the instance.
        keep_seconds: How long an ended job is remembered.
        now: Wall clock in seconds since 1970.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        keep_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.redis = redis
        self.keys = keys
        self._keep = round(keep_seconds)
        self._now = now

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

    async def of_channel(self, platform: str, channel: str) -> set[str]:
        """Return the live jobs of a channel."""
        return set(await self.redis.smembers(self.keys.channel(platform, channel)))

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

        async def change(pipe: Pipeline) -> Accepted | Refused:
            fields = await pipe.hgetall(job)
            if fields:
                return Accepted(entry=codec.load(fields), new=False)
            refusal = await self._in_the_way(pipe, active, channel, limits)
            if refusal is not None:
                return refusal
            entry = Entry(ask=ask)
            pipe.multi()
            pipe.hset(job, mapping={**codec.dump(entry), _VERSION: "1", _SHOWN: "0"})
            pipe.set(active, ask.job_id)
            pipe.sadd(channel, ask.job_id)
            pipe.sadd(keys.live, ask.job_id)
            pipe.zadd(keys.queue, {ask.job_id: ask.asked_at.timestamp()})
            pipe.zadd(keys.dirty, {ask.job_id: self._now()})
            self._wake(pipe, "accepted")
            return Accepted(entry=entry, new=True)

        return await self._transaction(change, job, active, channel)

    async def _in_the_way(
        self, pipe: Pipeline, active: str, channel: str, limits: Limits
    ) -> Refused | None:
        running = await pipe.get(active)
        if running:
            return Refused(reason="issue", running=running)
        there = sorted(await pipe.smembers(channel))
        if len(there) >= limits.per_channel:
            return Refused(reason="channel", running=there[0])
        waiting: int = await self.redis.zcard(self.keys.queue)
        return Refused(reason="queue") if waiting > limits.queue else None

    # -- changing ----------------------------------------------------------------------------

    async def move(self, job_id: str, *, before: Phase, after: Phase) -> bool:
        """Move a job from one phase to the next; False when it is not in the first."""

        def change(entry: Entry) -> Mapping[str, Any] | None:
            return {"phase": after} if entry.phase is before else None

        return await self.change(job_id, change) is not None

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

        async def apply(pipe: Pipeline) -> Entry | None:
            fields = await pipe.hgetall(job)
            entry = codec.load(fields) if fields else None
            changes = change(entry) if entry is not None and entry.ending is None else None
            if changes is None:
                return None
            texts = {name: codec.dump_field(name, value) for name, value in changes.items()}
            pipe.multi()
            pipe.hset(job, mapping=texts)
            if changes.get("phase") not in {None, Phase.QUEUED}:
                pipe.zrem(self.keys.queue, job_id)
            if not quiet:
                self._tell(pipe, job_id)
            return codec.load({**fields, **texts})

        return await self._transaction(apply, job)

    async def witness(
        self, job_id: str, *, outcome: Outcome | None = None, agent_end: AgentEnd | None = None
    ) -> Entry | None:
        """Write what a witness says of the end; the first word of each stays."""

        def change(entry: Entry) -> Mapping[str, Any] | None:
            said: dict[str, Any] = {}
            if outcome is not None and entry.outcome is None:
                said["outcome"] = outcome
            if agent_end is not None and entry.agent_end is None:
                said["agent_end"] = agent_end
            return said or None

        return await self.change(job_id, change, quiet=True)

    async def end(self, job_id: str, ending: Ending) -> bool:
        """Write how a job ended, once; False when it had been written or the job is unknown."""
        keys, job = self.keys, self.keys.job(job_id)

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
            self._tell(pipe, job_id)
            self._wake(pipe, "ended")
            return True

        return await self._transaction(change, job)

    # -- messages ----------------------------------------------------------------------------

    async def due(self, *, limit: int = 50) -> list[str]:
        """Return the jobs whose messages are to be brought up to date now."""
        return list(
            await self.redis.zrangebyscore(self.keys.dirty, 0, self._now(), start=0, num=limit)
        )

    async def version(self, job_id: str) -> int:
        """Return the number of the last change that people are to see."""
        return int(await self.redis.hget(self.keys.job(job_id), _VERSION) or 0)

    async def posted(self, job_id: str, message: str) -> None:
        """Remember which message is the job's, also after its end."""
        await self.redis.hset(self.keys.job(job_id), "message", message)

    async def shown(self, job_id: str, version: int, *, again_after: float = 0.0) -> None:
        """Note that people see this version; a later one stays due.

        Args:
            job_id: The job.
            version: That was sent.
            again_after: Least seconds until the next one is sent.
        """
        keys, job = self.keys, self.keys.job(job_id)

        async def change(pipe: Pipeline) -> None:
            latest = int(await pipe.hget(job, _VERSION) or 0)
            pipe.multi()
            if latest > version:
                pipe.zadd(keys.dirty, {job_id: self._now() + again_after})
            else:
                pipe.zrem(keys.dirty, job_id)
            if latest:
                pipe.hset(job, _SHOWN, str(version))

        await self._transaction(change, job)

    async def later(self, job_id: str, seconds: float) -> None:
        """Put a message off, after a failure or because the platform wants fewer."""
        await self.redis.zadd(self.keys.dirty, {job_id: self._now() + seconds}, xx=True)

    # -- inside ------------------------------------------------------------------------------

    def _tell(self, pipe: Pipeline, job_id: str) -> None:
        """Make a job's message due; one that is put off stays put off."""
        pipe.hincrby(self.keys.job(job_id), _VERSION, 1)
        pipe.zadd(self.keys.dirty, {job_id: self._now()}, nx=True)
        self._wake(pipe, "changed")

    def _wake(self, pipe: Pipeline, why: str) -> None:
        pipe.xadd(self.keys.wake, {"why": why}, maxlen=_WAKES_KEPT, approximate=True)

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
                except WatchError:
                    continue
                return result

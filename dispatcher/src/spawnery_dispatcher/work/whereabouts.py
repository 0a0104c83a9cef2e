"""Where jobs live: at the engine that this dispatcher is connected to, or at another one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from spawnery import AsyncSpawner
from spawnery.contract import KnownPlace
from spawnery.errors import SpawnerError

from spawnery_dispatcher.model.models import Entry, Phase
from spawnery_dispatcher.store.connection import slices
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.store.records import RedisRecords
from spawnery_dispatcher.talk.replies import elsewhere


class Whereabouts:
    """Tells jobs of the present place from those of others, which are left alone.

    Args:
        spawner: The engine.
        store: What is remembered.
        logger: structlog's.
    """

    def __init__(self, spawner: AsyncSpawner, store: Store, logger: Any) -> None:
        self._spawner = spawner
        self._store = store
        self._logger = logger

    async def here(self) -> Sequence[str]:
        """Return the keys of the present place, ours first; none where the engine has no place.

        Raises:
            StateError: Redis does not answer.
        """

        def look() -> Sequence[str]:
            records = self._spawner.spawner.records  # It asks the engine, the first time.
            return records.here if isinstance(records, RedisRecords) else ()

        return await asyncio.to_thread(look)

    async def elsewhere(self, job_id: str) -> KnownPlace | None:
        """Return the other place that has a record of a job, if one has.

        Raises:
            StateError: Redis does not answer.
        """
        found = await asyncio.to_thread(lambda: self._spawner.spawner.records.elsewhere(job_id))
        return max(found, key=lambda place: place.seen_at, default=None)

    async def split(self, job_ids: Collection[str]) -> set[str]:
        """Return those of the jobs that are not known to live in another place."""
        there = await engine_places(self._store, job_ids)
        here = await self.here() if any(there.values()) else ()
        return {job_id for job_id, key in there.items() if not key or key in here}

    async def tell(self, job_ids: Collection[str]) -> int:
        """Say of jobs in other places where they are, unless a dispatcher there follows them.

        Returns:
            How many nobody follows.
        """
        alone = await _unowned(self._store, job_ids)
        if not alone:
            return 0
        titles = {place.key: place.place.title for place in await self._spawner.places()}
        for job_id, key in (await engine_places(self._store, alone)).items():

            def change(entry: Entry, title: str = titles.get(key) or key) -> dict[str, str] | None:
                words = elsewhere(title, started=entry.phase is Phase.RUNNING)
                return None if entry.notice == words else {"notice": words}

            if await self._store.change(job_id, change):
                self._logger.warning("job_elsewhere", job=job_id, place=key)
        return len(alone)

    async def note(self, job_id: str) -> bool:
        """Write down that a job lives in another place; False where none has a record of it."""
        try:
            place = await self.elsewhere(job_id)
        except SpawnerError:
            return True  # Not known, so nothing is decided.
        if place is None:
            return False
        key = place.key
        await self._store.change(job_id, lambda _: {"engine_place": key}, quiet=True)
        return True


async def engine_places(store: Store, job_ids: Collection[str]) -> dict[str, str]:
    """Return the key of the place where each job was spawned; empty where none is known."""
    found: dict[str, str] = {}
    for part in slices(job_ids):
        pipe = store.redis.pipeline(transaction=False)
        for job_id in part:
            pipe.hget(store.keys.job(job_id), "engine_place")
        keys = await pipe.execute()
        found |= {job_id: key or "" for job_id, key in zip(part, keys, strict=True)}
    return found


async def _unowned(store: Store, job_ids: Collection[str]) -> list[str]:
    """Return those of the jobs that no dispatcher follows."""
    found: list[str] = []
    for part in slices(job_ids):
        owners = await store.redis.mget([store.keys.owner(job_id) for job_id in part])
        found += [job_id for job_id, who in zip(part, owners, strict=True) if who is None]
    return found

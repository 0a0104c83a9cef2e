"""Which dispatcher follows which job: a lease per job, renewed while its owner lives.

Ownership only avoids double work. Nothing depends on it for being done once: engine objects have
one name, entries change by transactions, endings are written once.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any, Final

from spawnery_dispatcher.store.connection import slices
from spawnery_dispatcher.store.keys import Keys

LEASE_SECONDS: Final = 15.0
RENEW_SECONDS: Final = LEASE_SECONDS / 3


class JobLeases:
    """The leases of one dispatcher.

    Args:
        redis: A client.
        keys: Of the instance.
        owner: Our name, unlike that of any other process.
    """

    def __init__(self, redis: Any, keys: Keys, owner: str) -> None:
        self._redis = redis
        self._keys = keys
        self.owner = owner

    async def take(self, job_ids: Collection[str]) -> set[str]:
        """Take or renew the leases of jobs; returns those that are ours now."""
        found: set[str] = set()
        for part in slices(job_ids):
            found |= await self._take(part)
        return found

    async def _take(self, job_ids: Sequence[str]) -> set[str]:
        milliseconds = round(LEASE_SECONDS * 1000)
        holders = await self._redis.mget([self._keys.owner(job_id) for job_id in job_ids])
        pipe, asked = self._redis.pipeline(transaction=False), []
        for job_id, who in zip(job_ids, holders, strict=True):
            name = self._keys.owner(job_id)
            if who is None:
                pipe.set(name, self.owner, nx=True, px=milliseconds)
            elif who == self.owner:
                pipe.pexpire(name, milliseconds)
            else:
                continue
            asked.append(job_id)
        return set(itertools.compress(asked, await pipe.execute()))

    async def release(self, job_ids: Collection[str]) -> None:
        """Give leases of ours back, so that others need not wait for their end."""
        for job_id in job_ids:
            if await self._redis.get(self._keys.owner(job_id)) == self.owner:
                await self._redis.delete(self._keys.owner(job_id))

"""Reads what all agents say, with one blocked connection for any number of jobs.

Reading is by position, not by consumer group: the position of each stream is part of its job's
entry and moves in the same transaction as what was read changes there, so an entry has its effect
once, whoever reads it how often; there is no group to be lost, and no pending list to be claimed.
Who reads a job is decided by its ownership (``store.leases``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from spawnery_dispatcher.model.entries import Position, Said
from spawnery_dispatcher.model.models import Wake
from spawnery_dispatcher.model.protocol import out_key
from spawnery_dispatcher.store.connection import BLOCK_SECONDS

_BATCH: Final = 100
"""Entries of one stream that one read takes, so that a flood of one job does not starve others."""


@frozen(kw_only=True)
class Heard:
    """What one read brought.

    Attributes:
        said: By jobs.
        wake: The new position in the wake stream, when there was something.
        why: What there was, by what it is about.
    """

    said: tuple[Said, ...] = ()
    wake: Position | None = None
    why: tuple[tuple[str, Wake], ...] = ()


class Bus:
    """Reads streams.

    Args:
        redis: A client of its own: a read blocks its connection.
        wake_key: The stream that ends a blocked read.
    """

    def __init__(self, redis: Any, wake_key: str) -> None:
        self._redis = redis
        self._wake_key = wake_key

    async def latest_wake(self) -> Position:
        """Return the position behind what was in the wake stream until now."""
        last = await self._redis.xrevrange(self._wake_key, count=1)
        return last[0][0] if last else "0-0"

    async def read(self, positions: Mapping[str, Position], wake: Position) -> Heard:
        """Wait for something new.

        Args:
            positions: Job id to the position of the last entry that was taken in.
            wake: Position in the wake stream.

        Returns:
            What there is; nothing when it stayed quiet for some seconds.
        """
        streams = {out_key(job_id): position for job_id, position in positions.items()}
        jobs = {out_key(job_id): job_id for job_id in positions}
        found = await self._redis.xread(
            {**streams, self._wake_key: wake}, count=_BATCH, block=round(BLOCK_SECONDS * 1000)
        )
        pairs = found.items() if isinstance(found, Mapping) else found or ()
        said, woken = [], None
        why: tuple[tuple[str, Wake], ...] = ()
        for key, entries in pairs:
            if key == self._wake_key:
                woken = entries[-1][0]
                why = tuple((fields["job"], Wake(fields["why"])) for _, fields in entries)
            else:
                said.append(Said(job_id=jobs[key], entries=_readable(entries)))
        return Heard(said=tuple(said), wake=woken, why=why)

    async def rest(self, job_id: str, position: Position) -> Said:
        """Read what is left of a job's stream, a batch at most."""
        entries = await self._redis.xrange(out_key(job_id), f"({position}", count=_BATCH)
        return Said(job_id=job_id, entries=_readable(entries))

    async def lost_since(self, job_id: str, position: Position) -> bool:
        """Tell whether entries behind a position were trimmed before anybody read them."""
        from redis.exceptions import ResponseError  # noqa: PLC0415 - slow to import

        try:
            facts = await self._redis.xinfo_stream(out_key(job_id))
        except ResponseError:  # There is no such stream (any more).
            return False
        return _order(facts.get("max-deleted-entry-id") or "0-0") > _order(position)


def _readable(entries: Any) -> tuple[tuple[Position, Mapping[str, str]], ...]:
    """Leave out tombstones of entries that were deleted one by one."""
    return tuple((position, fields) for position, fields in entries if fields is not None)


def _order(position: Position) -> tuple[int, int]:
    first, _, second = position.partition("-")
    return int(first), int(second or 0)

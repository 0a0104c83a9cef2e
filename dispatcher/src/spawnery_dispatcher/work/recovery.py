"""Notices that Redis came back without its data, and takes in again what the engine still shows.

A generation, written once, tells whether this Redis is the one that we know. When it is not, jobs
that run are found again by the labels of the engine's objects; a queue that this process remembers
is given up in words; and what was asked for before the loss is refused: it may have been done.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from spawnery import AsyncSpawner
from spawnery.errors import EngineError, SpawnerError
from spawnery.model import JobState, JobStatus

from spawnery_dispatcher.model.jobspecs import LABEL_ISSUE, LABEL_PROJECT, LABEL_USER, place_of
from spawnery_dispatcher.model.models import Ask, Ending, Entry, Phase
from spawnery_dispatcher.store.health import Health
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.work.strangers import Strangers

_PAUSE: Final = 2.0


class Recovery:
    """Keeps an eye on what is remembered.

    Args:
        store: What is remembered.
        spawner: The engine.
        health: Where a loss is noted.
        strangers: Tells jobs of other dispatchers.
        here: Returns the keys of the present place, ours first.
        logger: structlog's.
    """

    def __init__(
        self,
        store: Store,
        spawner: AsyncSpawner,
        health: Health,
        *,
        strangers: Strangers,
        here: Callable[[], Awaitable[Sequence[str]]],
        logger: Any,
    ) -> None:
        self._store = store
        self._spawner = spawner
        self._health = health
        self._strangers = strangers
        self._here = here
        self._logger = logger
        self._known: str | None = None

    async def look(self, queued: Iterable[Ask]) -> None:
        """Compare the generation; when it is another one, take in what there is.

        Args:
            queued: Jobs that wait as far as this process remembers.
        """
        key, redis = self._store.keys.generation, self._store.redis
        current = await redis.hget(key, "id")
        if current is not None and self._known in {None, current}:
            self._known, self._health.remembers = current, True
            return
        self._health.remembers = False
        before = self._known
        found = await self._readopt()
        given_up = 0
        if before is not None:
            given_up = await self._give_up(queued)
        if before is not None or found:
            now = await self._store.clock.now()
            await redis.hsetnx(key, "lost_at", now.isoformat())
            self._health.lost_memory = (
                f"Redis came back without its data: {found} running jobs were found again at the"
                f" engine, {given_up} waiting ones are lost, and so are answers not yet delivered"
            )
            self._logger.error("memory_lost", readopted=found, given_up=given_up)
        # Last: a dispatcher that dies before this does all of it again.
        await redis.hsetnx(key, "id", secrets.token_hex(8))
        self._known = await redis.hget(key, "id")
        self._health.remembers = True

    async def _readopt(self) -> int:
        listed = await self._listed()
        now = await self._store.clock.now()
        place = next(iter(await self._here()), "")
        found = [status for status in listed if not self._strangers.has_another_redis(status)]
        entries = (_entry_of(status, now, place) for status in found)
        return sum([await self._store.readopt(e) for e in entries if e is not None])

    async def _listed(self) -> list[JobStatus]:
        """Return what the engine shows, as soon as it answers: until then we know nothing."""
        while True:
            try:
                return list(await self._spawner.list())
            except SpawnerError as error:
                if isinstance(error, EngineError):
                    self._health.engine_answers(error)
                self._logger.warning("memory_unknown", cause=error.cause, error=error.message)
                await asyncio.sleep(_PAUSE)

    async def _give_up(self, queued: Iterable[Ask]) -> int:
        """End the jobs that waited: nobody knows their order any more, and people can ask again."""
        given_up = 0
        for ask in queued:
            if await self._store.readopt(Entry(ask=ask, phase=Phase.QUEUED)):
                ending = Ending(
                    state=JobState.LOST,
                    cause="lost.memory",
                    message="it waited in the queue when our memory was lost",
                    hint="ask again",
                    ended_at=await self._store.clock.now(),
                )
                given_up += await self._store.end(ask.job_id, ending)
        return given_up


def _entry_of(status: JobStatus, now: datetime, engine_place: str) -> Entry | None:
    """Make the entry of a job that runs from what its object says; None where it is not ours."""
    place = place_of(status.labels)
    issue = status.labels.get(LABEL_ISSUE, "")
    if place is None or status.state.terminal or not issue.isdigit():
        return None
    project = status.labels.get(LABEL_PROJECT, "")
    ask = Ask(
        job_id=status.job_id,
        project=project,
        issue=int(issue),
        text=f"fix #{issue} in {project}",
        user=status.labels.get(LABEL_USER, ""),
        place=place,
        asked_at=status.accepted_at or now,
    )
    return Entry(ask=ask, phase=Phase.RUNNING, readopted=True, engine_place=engine_place)

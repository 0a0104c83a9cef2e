"""Lets waiting jobs start, as far as the limits have room."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from spawnery.errors import SpawnerError
from spawnery.jobfile.json import to_json

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.model.fairness import order, startable
from spawnery_dispatcher.model.jobspecs import job_spec
from spawnery_dispatcher.model.models import Ask, Entry, Phase
from spawnery_dispatcher.model.steps import Step, reached
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.work.spawns import refused_ending

_LOCK_SECONDS: Final = 10


class Scheduler:
    """Decides who is next; one dispatcher of an instance at a time does.

    Args:
        store: What is remembered.
        config: Limits and projects.
        here: Returns the keys of the present place, ours first.
        metrics: Where it is counted.
        logger: structlog's.

    Attributes:
        queued: The jobs that waited when this dispatcher last looked.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        here: Callable[[], Awaitable[Sequence[str]]],
        metrics: Metrics,
        logger: Any,
    ) -> None:
        self._store = store
        self._config = config
        self._here = here
        self._metrics = metrics
        self._logger = logger
        self._asks: dict[str, Ask] = {}
        self._token = secrets.token_hex(8)
        self.queued: tuple[Ask, ...] = ()

    async def run(self) -> list[str]:
        """Let jobs start; returns those that this call let."""
        store = self._store
        lock = store.keys.scheduler
        await self._look()
        if not await store.redis.set(lock, self._token, nx=True, ex=_LOCK_SECONDS):
            return []
        try:
            return await self._decide()
        finally:
            if await store.redis.get(lock) == self._token:
                await store.redis.delete(lock)

    def moved(self, job_id: str) -> None:
        """Hear that a job is in another phase, whoever let it start."""
        self.queued = tuple(ask for ask in self.queued if ask.job_id != job_id)

    async def _decide(self) -> list[str]:
        waiting = await self._look()
        live = await self._store.live()
        queued = {ask.job_id for ask in waiting}
        running = await self._asked(sorted(live - queued))
        served = await self._store.served()
        chosen = startable(waiting, running, self._config.limits, served)
        generation = await self._store.generation() if chosen else ""
        started = [ask.job_id for ask in chosen if await self._start(ask, generation)]
        left = [ask for ask in waiting if ask.job_id not in started]
        now = await self._store.clock.seconds()
        now_served = served | {ask.user: now for ask in chosen}
        await self._number([a.job_id for a in order(left, [*running, *chosen], now_served)])
        self._asks = {key: ask for key, ask in self._asks.items() if key in live | queued}
        return started

    async def _look(self) -> list[Ask]:
        """Return who waits, and remember it: every dispatcher knows it when Redis forgets."""
        waiting = await self._asked(await self._store.waiting())
        self.queued = tuple(waiting)
        return waiting

    async def _asked(self, job_ids: list[str]) -> list[Ask]:
        """Return the requests of jobs; they never change, so each is read once."""
        for job_id in job_ids:
            if job_id not in self._asks:
                entry = await self._store.get(job_id)
                if entry is not None:
                    self._asks[job_id] = entry.ask
        return [self._asks[job_id] for job_id in job_ids if job_id in self._asks]

    async def _start(self, ask: Ask, generation: str) -> bool:
        """Write the spec down and let the job go on; a project that cannot run it ends it."""
        try:
            project = self._config.projects[ask.project]
            spec = json.dumps(to_json(job_spec(ask, project, self._config, generation=generation)))
        except KeyError:
            gone = SpawnerError(
                f"there is no project {ask.project} any more", cause="config.invalid"
            )
            return await self._refuse(ask, gone)
        except SpawnerError as error:
            return await self._refuse(ask, error)

        place = next(iter(await self._here()), "")

        def change(entry: Entry) -> Mapping[str, Any] | None:
            if entry.phase is not Phase.QUEUED:
                return None
            return {"phase": Phase.SPAWNING, "spec": spec, "engine_place": place}

        waited = await self._store.waited(ask.job_id)
        if await self._store.change(ask.job_id, change) is None:
            return False
        self.moved(ask.job_id)
        reached(Step.CLAIMED)
        await self._store.serve(ask.user)
        self._metrics.started(waited)
        return True

    async def _refuse(self, ask: Ask, error: SpawnerError) -> bool:
        self._logger.info("job_refused", job=ask.job_id, cause=error.cause)
        now = await self._store.clock.now()
        ending = refused_ending(error, Entry(ask=ask), now=now)
        await self._store.end(ask.job_id, ending)
        return False

    async def _number(self, job_ids: list[str]) -> None:
        """Give waiting jobs their places; whoever's changed is told."""
        written = await self._store.positions(job_ids)
        for position, (job_id, before) in enumerate(zip(job_ids, written, strict=True), 1):
            if before != position:
                await self._store.change(job_id, _placed(position))


def _placed(position: int) -> Callable[[Entry], Mapping[str, Any] | None]:
    return lambda entry: {"position": position} if entry.phase is Phase.QUEUED else None

"""Keeps an eye on the engine: whether it answers, and that what is over is tidied up."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final

from spawnery import AsyncSpawner
from spawnery.errors import JobNotFound, SpawnerError

from spawnery_dispatcher.store.health import Health, Patience
from spawnery_dispatcher.work.strangers import Strangers
from spawnery_dispatcher.work.waits import Waits

_PROBE: Final = "dispatcher-probe"
"""A job id that no job has: the engine is asked for it to see that it answers."""
_PROBE_SECONDS: Final = 10.0
_REAP_SECONDS: Final = 60.0
_PAUSE: Final = 2.0


class EngineWatch:
    """Looks after the engine while a dispatcher runs.

    Args:
        spawner: The engine.
        health: Where it is noted whether it answers.
        waits: Where it is noted what jobs wait for.
        logger: structlog's.
        strangers: Finds jobs of other dispatchers.
        patience: For Redis.
    """

    def __init__(
        self,
        spawner: AsyncSpawner,
        health: Health,
        waits: Waits,
        logger: Any,
        *,
        strangers: Strangers,
        patience: Patience,
    ) -> None:
        self._spawner = spawner
        self._health = health
        self._waits = waits
        self._logger = logger
        self._strangers = strangers
        self._patience = patience

    async def probe(self) -> None:
        """Ask the engine something again and again, until cancelled."""
        while True:
            try:
                await self._spawner.status(_PROBE)
            except JobNotFound:
                self._health.engine_answers(None)
            except SpawnerError as error:
                if self._health.engine_down is None:
                    self._logger.warning("engine_away", cause=error.cause, error=error.message)
                self._health.engine_answers(error)
            await asyncio.sleep(_PROBE_SECONDS)

    async def watch(self) -> None:
        """Keep the watch of all jobs open, until cancelled: it ends, records and removes."""
        while True:
            try:
                async with await self._spawner.watch() as statuses:
                    async for status in statuses:
                        self._waits.see(status)
                        await self._patience(functools.partial(self._strangers.look, status))
            except SpawnerError as error:
                self._logger.warning("watch_again", cause=error.cause)
            await asyncio.sleep(_PAUSE)

    async def reap(self) -> None:
        """Tidy up what crashed processes left, until cancelled."""
        while True:
            await asyncio.sleep(_REAP_SECONDS)
            try:
                done = await self._spawner.reap()
            except SpawnerError as error:
                self._logger.warning("reap_failed", cause=error.cause)
            else:
                for decision in done:
                    if decision.done:
                        told = {"action": decision.action, "reason": decision.reason}
                        self._logger.info("reaped", job=decision.job_id, **told)

"""Asks the engine for jobs until it has them or says that it never will."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from spawnery import AsyncSpawner
from spawnery.errors import (
    Ambiguous,
    EngineDenied,
    EngineError,
    EngineUnreachable,
    SpawnerError,
    StateError,
)
from spawnery.jobfile.json import spec_from_json
from spawnery.model import JobState

from spawnery_dispatcher.model.models import Ending, Entry
from spawnery_dispatcher.model.steps import Step, reached
from spawnery_dispatcher.store.health import Health
from spawnery_dispatcher.talk.replies import not_taken_yet

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_OTHER_ENGINE: Final = frozenset({"engine.too_new", "engine.too_old", "engine.not_docker"})
"""What answers is no engine that the spawner can speak to: being upgraded, or the wrong address."""


def may_pass(error: SpawnerError) -> bool:
    """Tell whether the same spawn may succeed later, without a change of the job."""
    lasting = isinstance(error, EngineUnreachable | EngineDenied | Ambiguous | StateError)
    return lasting or error.retryable or error.cause in _OTHER_ENGINE


class Spawns:
    """Spawns the jobs of one dispatcher.

    Args:
        spawner: The engine.
        health: Where it is noted whether it answers.
        logger: structlog's.
    """

    def __init__(self, spawner: AsyncSpawner, health: Health, logger: Any) -> None:
        self._spawner = spawner
        self._health = health
        self._logger = logger

    async def spawn(
        self, spec: str, *, notice: Callable[[str], Awaitable[None]]
    ) -> SpawnerError | None:
        """Spawn a job, or find it where it already runs or ran.

        Args:
            spec: As JSON.
            notice: Called with words for people while the engine does not answer.

        Returns:
            None when the engine has it; else why it never will.
        """
        job = spec_from_json(json.loads(spec))
        pause = _FIRST_PAUSE
        while True:
            try:
                reached(Step.SPAWNING)
                await self._spawner.spawn(job)
                reached(Step.SPAWNED)
            except SpawnerError as error:
                if not may_pass(error):
                    return error
                self._logger.warning("spawn_again", job=job.job_id, cause=error.cause)
                if isinstance(error, EngineError):
                    self._health.engine_answers(error)
                await notice(not_taken_yet(error.message, error.hint))
                await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._health.engine_answers(None)
                return None


def refused_ending(error: SpawnerError, entry: Entry, *, now: datetime) -> Ending:
    """Say how a job ended that the engine never took."""
    cancelled = bool(entry.cancelled_by)
    return Ending(
        state=JobState.CANCELLED if cancelled else JobState.FAILED,
        cause="cancelled" if cancelled else error.cause,
        message="cancelled before it ran" if cancelled else error.message,
        hint=None if cancelled else error.hint,
        ended_at=now,
    )

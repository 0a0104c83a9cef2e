"""Finds jobs that another dispatcher of our instance's name has at our engine, with another Redis.

Both would take all jobs of the instance for their own. What is known of such a job is its mark
(``jobspecs.Mark``): one whose agent has another Redis is another dispatcher's, and so is one that
was made with data that our Redis never had, unless our own data was lost.
"""

from __future__ import annotations

from typing import Any, Final

from spawnery.model import JobStatus

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.model.jobspecs import mark_of, mark_on
from spawnery_dispatcher.store.health import Health
from spawnery_dispatcher.store.jobs import Store

HINT: Final = "give each dispatcher an instance of its own: export DISPATCHER_INSTANCE=NAME"


class Strangers:
    """Looks at the jobs of the engine.

    Args:
        store: What is remembered.
        config: Of this dispatcher.
        health: Where a finding is noted.
        logger: structlog's.
    """

    def __init__(self, store: Store, config: Config, health: Health, logger: Any) -> None:
        self._store = store
        self._config = config
        self._health = health
        self._logger = logger
        self._generation = ""

    def has_another_redis(self, status: JobStatus) -> bool:
        """Tell whether the agent of a job was given another Redis than ours are; noted if so."""
        mark = mark_on(status.labels)
        other = mark is not None and mark.address != mark_of(self._config, "").address
        if other:
            self._note(status)
        return other

    async def look(self, status: JobStatus) -> None:
        """Note it when a job that has not ended is another dispatcher's.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        mark = mark_on(status.labels)
        if mark is None or mark.generation == self._generation or not self._health.remembers:
            return
        self._generation = await self._store.generation()
        if await is_stranger(self._store, self._config, status):
            self._note(status)

    def _note(self, status: JobStatus) -> None:
        if not self._health.stranger:
            self._logger.error("other_dispatcher", job=status.job_id, hint=HINT)
            self._health.stranger = in_words(self._config, status)


async def is_stranger(store: Store, config: Config, status: JobStatus) -> bool:
    """Tell whether a job that has not ended is another dispatcher's; errors as ``look``."""
    mark = mark_on(status.labels)
    if mark is None or status.state.terminal:
        return False
    generation = await store.generation()
    ours = mark_of(config, generation)
    if mark.generation == generation or (not generation and mark.address == ours.address):
        return False  # Without a generation it may be ours: our data was lost.
    return await store.get(status.job_id) is None


def in_words(config: Config, status: JobStatus) -> str:
    """Say what was found."""
    return (
        f"another dispatcher, with another Redis, has the instance {config.instance} at this"
        f" engine: job {status.job_id} is not ours"
    )

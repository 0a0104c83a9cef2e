"""What ``spawnery-dispatcher places`` does: list the places of an instance, give one up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spawnery.contract import KnownPlace
from spawnery.model import JobState, Outcome

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.model.endings import judge
from spawnery_dispatcher.store.connection import connect
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.work.engine import open_spawner
from spawnery_dispatcher.work.whereabouts import engine_places

_GIVEN_UP = Outcome(
    state=JobState.LOST,
    cause="lost.place",
    message="the place where it lived was given up",
    hint="look at what it was to produce, then ask again",
)


async def list_places(config: Config, environ: Mapping[str, str]) -> Sequence[KnownPlace]:
    """Return the places where jobs of the instance live or have lived, the present one first.

    Raises:
        SpawnerError: The engine or Redis cannot be used.
    """
    spawner = await open_spawner(config, environ)
    try:
        return sorted(await spawner.places(), key=lambda place: (not place.here, place.key))
    finally:
        await spawner.close()


async def give_up(config: Config, environ: Mapping[str, str], key: str) -> Sequence[str]:
    """End all jobs of a place that is gone for good; may be repeated when it was interrupted.

    Returns:
        The ids of the jobs that ended.

    Raises:
        ConfigurationError: There is no such place, or it is the present one.
        SpawnerError: The engine or Redis cannot be used.
    """
    spawner = await open_spawner(config, environ)
    redis = connect(config.redis.url)
    try:
        await spawner.give_up_place(key)
        store = Store(redis, Keys(config.instance), keep_seconds=config.keep_seconds)
        ended = []
        for job_id, place in (await engine_places(store, await store.live())).items():
            entry = await store.get(job_id) if place == key else None
            if entry is None:
                continue
            now = await store.clock.now()
            if await store.end(job_id, judge(entry.outcome or _GIVEN_UP, entry.agent_end, now=now)):
                ended.append(job_id)
        return sorted(ended)
    finally:
        await redis.aclose()
        await spawner.close()

"""Opens the engine for a dispatcher: by its entry point, with records for all dispatchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from spawnery import AsyncSpawner

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.configfile import PREFIX
from spawnery_dispatcher.store.connection import connect_blocking
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.records import RedisRecords

_DAY_SECONDS: Final = 86400


async def open_spawner(
    config: Config, environ: Mapping[str, str], *, observers: Sequence[object] = ()
) -> AsyncSpawner:
    """Open the spawner that ``SPAWNER_TYPE`` names.

    Args:
        config: Its instance owns the jobs, its Redis keeps the records.
        environ: Our own environment; our own settings are kept from core.
        observers: Objects with the hook ``job_event``.

    Raises:
        ConfigurationError, PluginError: See ``spawnery.Spawner.from_environment``.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    kept["SPAWNERY_INSTANCE"] = config.instance
    # A record that outlived its job here would give its old outcome to the next job of that id.
    kept["SPAWNERY_RECORDS_DAYS"] = str(config.keep_seconds / _DAY_SECONDS)
    records = RedisRecords(connect_blocking(config.redis.url), Keys(config.instance))
    return await AsyncSpawner.open(environ=kept, records=records, extensions=observers)

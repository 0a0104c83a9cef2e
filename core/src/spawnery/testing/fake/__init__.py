"""A spawner whose jobs run by the clock alone: ``SPAWNER_TYPE=fake``, for tests.

The ``command`` of a job is a script (see ``program``); ``options.fake`` scripts what the engine
does with it (``FakeOptions``). No process is started, so thousands of jobs cost nothing. The engine
lives in this process, or in a file that processes share (``SPAWNERY_FAKE_ENGINE=/a/path``).
"""

from __future__ import annotations

import time

from spawnery.contract.declaration import API_VERSION, SpawnerPlugin, SpawnerRuntime
from spawnery.testing.fake.engine import FakeEngine, engine_at, forget_engine
from spawnery.testing.fake.options import FakeOptions, FakeSettings
from spawnery.testing.fake.spawner import FakeSpawner

__all__ = ["FakeEngine", "FakeOptions", "FakeSettings", "FakeSpawner", "declare", "engine_at",
           "forget_engine", "plugin"]  # fmt: skip

CAPABILITIES = frozenset(
    {
        *(f"field.{name}" for name in ("image", "command", "args", "env", "secrets", "network")),
        *(f"field.{name}" for name in ("labels", "workdir", "user", "pull_policy")),
        *(f"field.{limit}_seconds" for limit in ("deadline", "start_deadline", "retention")),
        *(f"field.security.{profile}" for profile in ("restricted", "baseline")),
        *(f"field.resources.{name}" for name in ("requests", "limits", "gpus")),
        "field.resources.ephemeral_storage",
        *(f"logs{what}" for what in ("", ".follow", ".split", ".resume", ".after_exit")),
        *("evidence.identity", "place", "clock"),
        *("tail", "watch.resume", "stop.graceful", "stop.shorter", "oom"),
        "plan.validate",
    }
)


def _create(settings: FakeSettings, runtime: SpawnerRuntime) -> FakeSpawner:
    own = f"of {runtime.state_dir}".replace("/", "|")
    engine = engine_at(settings.engine or own)
    if settings.clock_ahead:
        engine.clock = lambda: time.time() + settings.clock_ahead
    return FakeSpawner(engine, settings, runtime)


def declare(engine: FakeEngine) -> SpawnerPlugin:
    """Return a declaration of the fake on an engine of one's own: ``Spawner.open(plugin=...)``."""

    def create(settings: FakeSettings, runtime: SpawnerRuntime) -> FakeSpawner:
        return FakeSpawner(engine, settings, runtime)

    return _declaration(create)


def _declaration(create: object) -> SpawnerPlugin:
    return SpawnerPlugin(
        name="fake",
        api=API_VERSION,
        capabilities=CAPABILITIES,
        settings=FakeSettings,
        options=FakeOptions,
        create=create,  # type: ignore[arg-type]
        summary="runs nothing: jobs are scripts, for tests",
    )


plugin = _declaration(_create)

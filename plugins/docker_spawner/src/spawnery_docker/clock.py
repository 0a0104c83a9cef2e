"""The engine's present, for times in statuses."""

from __future__ import annotations

from datetime import datetime

from spawnery.plugin import SpawnerRuntime


def engine_now(runtime: SpawnerRuntime) -> datetime:
    """Return the present of the engine's clock; of ours where no answer has told it yet."""
    now = runtime.engine_clock.now()
    return runtime.clock.now() if now is None else now.middle

"""The host's clock: each answer says what it shows, and core judges deadlines and ages by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from spawnery.contract import SpawnerRuntime


def report(runtime: SpawnerRuntime, text: str, *, sent: float) -> None:
    """Tell core what the host's clock shows.

    Args:
        runtime: What core gives us.
        text: Seconds since the epoch, as the host printed them: whole ones, or with a fraction.
        sent: ``time.monotonic()`` before the host was asked.
    """
    resolution = 0.001 if "." in text else 1.0
    moment = datetime.fromtimestamp(float(text), UTC)
    received = time.monotonic()
    runtime.engine_clock.read(moment, sent=sent, received=received, resolution=resolution)

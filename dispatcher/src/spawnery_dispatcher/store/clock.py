"""The one clock of all dispatchers of an instance: that of Redis.

What more than one process sees (when something is due, expires or was asked for) is a time of this
clock. Dispatchers whose own clocks differ, or are set while they run, agree on it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

from spawnery.contract import EngineClock

_FRESH_SECONDS: Final = 5.0
"""How long a reading is good; between two of them our monotonic clock counts."""
_RESOLUTION: Final = 1e-6
"""Of what ``TIME`` answers, in seconds."""


class RedisClock:
    """Tells the time of a Redis; it asks for it now and then.

    Args:
        redis: A ``redis.asyncio.Redis``.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._clock = EngineClock()
        self._read_at = -_FRESH_SECONDS

    async def now(self) -> datetime:
        """Return the present.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        if time.monotonic() - self._read_at >= _FRESH_SECONDS:
            await self._read()
        return self._clock.best_guess()

    async def seconds(self) -> float:
        """Return the present in seconds since 1970; errors as ``now``."""
        return (await self.now()).timestamp()

    async def _read(self) -> None:
        sent = time.monotonic()
        seconds, microseconds = await self._redis.time()
        received = time.monotonic()
        said = datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
        self._clock.read(said, sent=sent, received=received, resolution=_RESOLUTION)
        self._read_at = received

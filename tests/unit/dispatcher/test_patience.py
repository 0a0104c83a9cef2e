"""What waits for Redis can be cancelled, also where a library swallows the cancellation."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import structlog
from redis.exceptions import ConnectionError as Away
from spawnery_dispatcher.store.health import Health, Patience


async def swallows():
    """Do what a timeout does that is over at once: answer instead of being cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def fails_instead():
    """Turn a cancellation into an error that is waited out."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise Away from None


@pytest.mark.parametrize("call", [swallows, fails_instead])
def test_a_swallowed_cancellation_is_heeded(call):
    """A loop over such a call ends at the first cancellation."""

    async def story():
        patience = Patience(Health(), structlog.get_logger())

        async def work():
            while True:
                await patience(call)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=30)
        assert task.cancelled()

    asyncio.run(story())

"""Bounded pools of connections to Redis.

A caller that finds no connection free waits for one, so that a crowd is not taken for a Redis that
is away. Whoever holds a connection must not take a second one: with as many of them as there are
connections, all would wait for each other. That fails at once, whether or not one is free, so that
it shows in a test and not in a crowd.

This module imports redis, which is slow: ``connection`` imports it where it is needed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio.connection import BlockingConnectionPool as AsyncioPool
from redis.connection import BlockingConnectionPool as ThreadsPool
from spawnery.toolkit import NestedWaitError

MOST_CONNECTIONS: Final = 100
"""Of one pool; a Redis takes 10,000 by default (``maxclients``)."""


class TaskPool(AsyncioPool):
    """For asyncio.

    Args:
        options: See ``redis.asyncio.BlockingConnectionPool``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._holders: dict[Any, asyncio.Task[Any] | None] = {}

    async def get_connection(self, *_given: Any, **_options: Any) -> Any:
        """Take a connection, as soon as one is free.

        Raises:
            NestedWaitError: The task has one already.
            redis.ConnectionError: None became free in time.
        """
        task = asyncio.current_task()
        _refuse_second(self._holders, task)
        base: Any = super()  # redis-py leaves it without types; so below
        connection = await base.get_connection()
        self._holders[connection] = task
        return connection

    async def release(self, connection: Any) -> None:
        """Give a connection back."""
        self._holders.pop(connection, None)
        await super().release(connection)


class ThreadPool(ThreadsPool):
    """For threads.

    Args:
        options: See ``redis.BlockingConnectionPool``.
    """

    def __init__(self, **options: Any) -> None:
        base: Any = super()
        base.__init__(**options)
        self._holders: dict[Any, int] = {}

    def get_connection(self, *_given: Any, **_options: Any) -> Any:
        """Take a connection, as soon as one is free; errors as ``TaskPool``."""
        thread = threading.get_ident()
        _refuse_second(self._holders, thread)
        base: Any = super()
        connection = base.get_connection()
        self._holders[connection] = thread
        return connection

    def release(self, connection: Any) -> None:
        """Give a connection back."""
        self._holders.pop(connection, None)
        base: Any = super()
        base.release(connection)


def _refuse_second(holders: Mapping[Any, Any], caller: object) -> None:
    if caller in list(holders.values()):
        msg = "whoever holds a connection of this pool must not wait for a second one"
        raise NestedWaitError(msg)

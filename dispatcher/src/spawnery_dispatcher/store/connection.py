"""Clients of Redis, with nothing repeated behind our back.

redis-py repeats every command up to ten times by default: one ``XADD`` whose replies are lost would
be written eleven times. What may be repeated is repeated by whoever knows that it may.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from spawnery.errors import ConfigurationError

T = TypeVar("T")

BLOCK_SECONDS: Final = 5.0
"""How long a blocked read waits; sockets wait longer, else they would break off every one."""
_SOCKET_SECONDS: Final = BLOCK_SECONDS + 5.0
_CONNECT_SECONDS: Final = 5.0
_SLICE: Final = 100
_SCHEMES: Final = ("redis", "rediss", "unix")


def _options() -> dict[str, Any]:
    from redis.backoff import NoBackoff  # noqa: PLC0415 - redis is slow to import
    from redis.retry import Retry  # noqa: PLC0415

    from spawnery_dispatcher.store.redis_pools import MOST_CONNECTIONS  # noqa: PLC0415

    return {
        "max_connections": MOST_CONNECTIONS,
        "timeout": _SOCKET_SECONDS,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _SOCKET_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "health_check_interval": 15,
    }


def _asyncio_options() -> dict[str, Any]:
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - redis is slow to import
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return _options() | {"retry": Retry(NoBackoff(), 0)}


def checked(url: str) -> str:
    """Return the address of a Redis.

    Raises:
        ConfigurationError: It is none; the address is not shown, it may hold a password.
    """
    if urlsplit(url).scheme not in _SCHEMES:
        hint = "for example redis://127.0.0.1:6379/0, rediss://user:password@host:6380/0"
        msg = f"redis.url: must begin with one of {', '.join(f'{s}://' for s in _SCHEMES)}"
        raise ConfigurationError(msg, hint=hint)
    return url


def connect(url: str) -> Any:
    """Return a client for asyncio, a ``redis.asyncio.Redis``; nothing is sent yet."""
    from redis.asyncio import Redis  # noqa: PLC0415 - slow to import

    from spawnery_dispatcher.store.redis_pools import TaskPool  # noqa: PLC0415

    return Redis.from_pool(TaskPool.from_url(checked(url), **_asyncio_options()))


def connect_blocking(url: str) -> Any:
    """Return a client for threads, a ``redis.Redis``; nothing is sent yet."""
    from redis import Redis  # noqa: PLC0415 - slow to import

    from spawnery_dispatcher.store.redis_pools import ThreadPool  # noqa: PLC0415

    return Redis.from_pool(ThreadPool.from_url(checked(url), **_options()))


def slices(names: Collection[T]) -> Iterator[Sequence[T]]:
    """Cut names up for pipelines that leave others room between them."""
    whole = list(names)
    return (whole[start : start + _SLICE] for start in range(0, len(whole), _SLICE))


def is_conflict(error: Exception) -> bool:
    """Tell whether a transaction was given up because a watched key changed.

    The embedded server says so in an error's text, where Redis answers with nothing.
    """
    from redis import exceptions  # noqa: PLC0415 - slow to import

    if isinstance(error, exceptions.WatchError):
        return True
    return isinstance(error, exceptions.ResponseError) and str(error).endswith("WatchError")

"""Transactions on watched keys, for callers in threads, and what goes wrong in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from redis.exceptions import RedisError
from spawnery.errors import StateError

from spawnery_dispatcher.store.connection import is_conflict

T = TypeVar("T")


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what redis-py raises into our error."""
    try:
        yield
    except RedisError as error:
        said = " ".join(str(error).split())[:200]
        msg = f"the records in Redis cannot be used: {type(error).__name__}: {said}"
        hint = "is Redis there? redis-cli ping"
        raise StateError(msg, hint=hint, retryable=True) from None


def transaction(redis: Any, change: Callable[[Any], T], *watched: str) -> T:
    """Run a change on watched keys until nobody interferes.

    Args:
        redis: A ``redis.Redis`` that decodes answers and repeats nothing by itself.
        change: Reads through the pipeline, calls ``multi()`` and queues its writes; without
            ``multi()`` nothing is written.
        watched: The keys that it depends on; ``change`` may watch more.

    Raises:
        StateError: Redis does not answer.
    """
    while True:
        with in_words(), redis.pipeline(transaction=True) as pipe:
            try:
                pipe.watch(*watched)
                result = change(pipe)
                if pipe.explicit_transaction:
                    pipe.execute()
            except RedisError as error:
                if is_conflict(error):
                    continue
                raise
            return result

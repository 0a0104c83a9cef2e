"""What is done again until Redis answers, and what is known of everybody's health."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from attrs import define
from spawnery.errors import SpawnerError, StateError

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


class Forgotten(Exception):
    """Redis came without our memory, and what was lost is not yet known."""

    def __init__(self) -> None:
        super().__init__("what Redis remembers of us is not known yet")


@define
class Health:
    """Since when something does not answer, None while it does.

    Attributes:
        redis_down: Seconds of the monotonic clock.
        engine_down: Likewise.
        engine_problem, engine_hint: What the engine's last error says, and what to do next.
        stranger: That another dispatcher has our instance at our engine, for people.
        elsewhere: Jobs that live at other engines, and which no dispatcher follows.
        slack_down: Likewise, of Socket Mode; None where it is not used.
        slack_problem: Cause and words of why Slack cannot be heard.
        remembers: Whether it is known what Redis remembers of us.
        lost_memory: What was lost when Redis came back without its data, for people.
    """

    redis_down: float | None = None
    engine_down: float | None = None
    engine_problem: str = ""
    engine_hint: str = ""
    elsewhere: int = 0
    stranger: str = ""
    slack_down: float | None = None
    slack_problem: str = ""
    remembers: bool = False
    lost_memory: str = ""

    def redis_answers(self, *, yes: bool) -> None:
        """Note whether Redis answers."""
        self.redis_down = None if yes else self.redis_down or time.monotonic()

    def engine_answers(self, problem: SpawnerError | None) -> None:
        """Note whether the engine answers (None) or what it says instead."""
        self.engine_problem = problem.message if problem is not None else ""
        self.engine_hint = (problem.hint or "") if problem is not None else ""
        self.engine_down = None if problem is None else self.engine_down or time.monotonic()

    def slack_answers(self, problem: str | None) -> None:
        """Note whether Slack can be heard (None) or why not, as far as that is known."""
        self.slack_problem = problem or ""
        self.slack_down = None if problem is None else self.slack_down or time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether all parts answer, and we know what was."""
        down = (self.redis_down, self.engine_down, self.slack_down)
        return all(since is None for since in down) and self.remembers


class Patience:
    """Repeats calls to Redis until they are answered.

    Only for what may be done twice: reads, and changes that look at what is there first.

    Args:
        health: Where it is noted.
        logger: structlog's.
    """

    def __init__(self, health: Health, logger: Any) -> None:
        self._health = health
        self._logger = logger

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until Redis answers."""
        pause = _FIRST_PAUSE
        while True:
            try:
                result = await call()
                heed_cancellation()
            except Exception as error:
                heed_cancellation()
                if not is_away(error):
                    raise
                if self._health.redis_down is None:
                    self._logger.warning("redis_away", error=type(error).__name__)
                self._health.redis_answers(yes=False)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._health.redis_answers(yes=True)
                return result


def away() -> tuple[type[Exception], ...]:
    """Return the errors that may say that Redis is not there, or not ready to answer."""
    from redis import exceptions  # noqa: PLC0415 - slow to import

    lost = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError)
    return (*lost, Forgotten, StateError)


def heed_cancellation() -> None:
    """Cancel a task again whose cancellation was swallowed on the way.

    ``asyncio.timeout`` does it when its time is over at once and the task was being cancelled when
    it was entered (Python 3.11); redis-py enters it so before each command.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def is_away(error: BaseException) -> bool:
    """Tell whether an error says that Redis is not there, or not ready to answer."""
    if isinstance(error, StateError):  # Core's records are there too.
        return error.retryable
    return isinstance(error, away())

"""Logs failures of what is tried again by itself: each reason once, and not the shortest ones."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from attrs import define

from spawnery.errors import SpawnerError

_PATIENCE_SECONDS: Final = 3.0
"""What is over by then is no news; and the verb that somebody called tells its failure first."""
_AGAIN_SECONDS: Final = 300.0
"""How long a reason that lasts is not repeated."""
_OVER_SECONDS: Final = 60.0
"""A reason that was not met for so long is a new one when it comes back."""


@define
class _Reason:
    """Since when a reason is met, when last, and when it was last told."""

    since: float
    met: float
    told: float | None = None


class Troubles:
    """The reasons of failures, each with its history.

    Args:
        logger: Where they go: as a warning when they are told, else at level INFO.
        closing: Set when all is being closed: what fails then is no news for anybody.
        monotonic: Seconds of a clock that never steps.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        closing: threading.Event | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._closing = closing or threading.Event()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._reasons: dict[str, _Reason] = {}

    def failed(self, what: str, error: SpawnerError) -> None:
        """Log that something failed that will be tried again.

        Args:
            what: What failed.
            error: Why; the same message is the same reason, whatever failed of it.
        """
        news = not self._closing.is_set() and self._is_news(error)
        level = logging.WARNING if news else logging.INFO
        self._logger.log(level, "%s: %s", what, error.message)

    def _is_news(self, error: SpawnerError) -> bool:
        now = self._monotonic()
        with self._lock:
            for text in [t for t, r in self._reasons.items() if now - r.met > _OVER_SECONDS]:
                del self._reasons[text]
            reason = self._reasons.setdefault(error.message, _Reason(since=now, met=now))
            reason.met = now
            patience = _PATIENCE_SECONDS if error.retryable else 0.0
            early = now - reason.since < patience
            fresh = reason.told is not None and now - reason.told < _AGAIN_SECONDS
            if early or fresh:
                return False
            reason.told = now
            return True

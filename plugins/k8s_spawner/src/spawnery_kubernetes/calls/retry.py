"""Which requests are sent again, when and for how long: pure.

The rule: what the cluster did not act upon may be sent again, and so may a GET. Source of the
statuses: Kubernetes API conventions, "HTTP Status codes"; 429 is given before the request is
handled (API Priority and Fairness), unlike 500, 503 and 504.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from spawnery.contract import Deadline
from spawnery.errors import EngineUnreachable

from spawnery_kubernetes.errors import ApiError, Unanswered

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_PATIENCE_SECONDS: Final = 10.0
"""An API server that is started again is away for a few seconds; a wrong address for good."""
LEAST_SECONDS: Final = 0.25
"""No further attempt begins with less left: a new connection takes three round trips (TCP, TLS and
the request), some 50 ms each to a distant cluster, and the server takes its time. An attempt that
is cut off sooner would report that nothing answered, and hide the answer to the one before."""


def time_is_over(deadline: Deadline, pause: float) -> bool:
    """Tell whether after a pause of so many seconds too little is left for another attempt."""
    return deadline.remaining() < pause + LEAST_SECONDS


def may_repeat(error: Exception, method: str) -> bool:
    """Tell whether a request that failed may be sent once more.

    Args:
        error: ``ApiError``, ``Unanswered`` or ``EngineUnreachable``; of others nothing is known.
        method: Of HTTP.
    """
    if isinstance(error, EngineUnreachable):
        return error.retryable
    if isinstance(error, Unanswered):
        return method == "GET"
    if not isinstance(error, ApiError):
        return False
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if method == "POST" and error.status == HTTPStatus.CONFLICT:
        # A quota was counted by two requests at once: nothing was made. The name's own is
        # AlreadyExists.
        return error.reason == "Conflict"
    return method == "GET" and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class Attempts:
    """The attempts of one call.

    Args:
        method: Of HTTP.
        timeout: Limit in seconds for all of them and the pauses between them.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self, method: str, timeout: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._method = method
        self._clock = clock
        self._until = clock() + timeout
        self._patient_until: float | None = None
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Seconds that are left; above zero."""
        return max(0.001, self._until - self._clock())

    @property
    def over(self) -> bool:
        """Whether too little is left for another attempt."""
        return self._clock() + LEAST_SECONDS > self._until

    def pause(self, error: Exception) -> float | None:
        """Return how many seconds to wait before the next attempt; None where there is none.

        Args:
            error: What became of the last one.
        """
        if not may_repeat(error, self._method):
            return None
        now = self._clock()
        until = self._until - LEAST_SECONDS
        asked = error.retry_after if isinstance(error, ApiError) else None
        if asked is None:
            if self._patient_until is None:
                self._patient_until = now + _PATIENCE_SECONDS
            until = min(until, self._patient_until)
            wait = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads callers, no secret
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        else:
            wait = max(asked, _FIRST_PAUSE)
        return wait if now + wait <= until else None

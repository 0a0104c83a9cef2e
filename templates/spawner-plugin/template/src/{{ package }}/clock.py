"""The host's clock against ours: what we report is in our time, so that deadlines hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

_TOLERATED_SECONDS: Final = 2.0


class HostClock:
    """Knows how far the host's clock is off.

    Within two seconds it counts as right, and the shift changes only when it is off by more: the
    same time on the host is always told as the same time of ours.

    Args:
        now: Our clock.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._shift = 0.0

    def shift(self, host_now: float) -> float:
        """Return the seconds to add to the host's times.

        Args:
            host_now: The host's time, just received.
        """
        found = self._now().timestamp() - host_now
        if abs(found - self._shift) > _TOLERATED_SECONDS:
            self._shift = round(found)
        return self._shift

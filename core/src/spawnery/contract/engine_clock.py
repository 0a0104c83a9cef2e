"""The engine's present, by what its clock was read to say; an interval, since no reading is exact.

A server says its time with a resolution (whole seconds in a ``Date`` header, RFC 9110 5.6.7), at
some moment between a request and its reply. Each reading bounds the offset between the engine's
clock and our monotonic one from both sides; the bounds of several readings together are narrower
than each (Cristian 1989, "Probabilistic clock synchronization"). Our wall clock has no part in it,
so that a step of it changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from attrs import frozen

_DRIFT: Final = 200e-6
"""How far two clocks may drift apart, in seconds per second: what NTP still corrects is 500 ppm."""


@frozen
class TimeRange:
    """A moment that is known to lie between two times, both included."""

    earliest: datetime
    latest: datetime

    @property
    def middle(self) -> datetime:
        """The best single guess."""
        return self.earliest + (self.latest - self.earliest) / 2


@frozen
class _Bounds:
    """Bounds of (engine's clock - our monotonic clock), and when they held."""

    low: float
    high: float
    at: float

    def later(self, now: float) -> _Bounds:
        """Return the bounds as they are now: wider, since clocks drift."""
        drift = max(0.0, now - self.at) * _DRIFT
        return _Bounds(self.low - drift, self.high + drift, now)

    def with_reading(self, other: _Bounds) -> _Bounds:
        """Return what both allow; the later one alone where they contradict each other."""
        known = self.later(other.at)
        low, high = max(known.low, other.low), min(known.high, other.high)
        return other if low > high else _Bounds(low, high, other.at)


class EngineClock:
    """What is known of an engine's clock.

    A spawner that declares the capability ``clock`` calls ``read`` or ``read_header`` with each
    answer of the engine. Of a spawner that does not, our own wall clock is taken for the engine's.

    Args:
        monotonic: Seconds of a clock that never steps.
        wall: Our wall clock.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._known: _Bounds | None = None
        self.measured = False
        """Whether the engine's clock is measured: until the first reading nothing is known then."""

    def read(
        self, time_of_engine: datetime, *, sent: float, received: float, resolution: float = 1.0
    ) -> None:
        """Take in a time that the engine said.

        Args:
            time_of_engine: With a zone, cut off (not rounded) to the resolution.
            sent: ``time.monotonic()`` before the request.
            received: ``time.monotonic()`` after the reply.
            resolution: Seconds by which the engine's clock may be further than it said.
        """
        said = time_of_engine.timestamp()
        reading = _Bounds(said - received, said + resolution - sent, received)
        with self._lock:
            self.measured = True
            known = self._known
            # Where they contradict each other, one of the clocks was set.
            self._known = reading if known is None else known.with_reading(reading)

    def read_header(self, date: str | None, *, sent: float, received: float) -> None:
        """Take in a ``Date`` header (RFC 9110 5.6.7); a missing or malformed one says nothing."""
        if not date:
            return
        try:
            said = parsedate_to_datetime(date)
        except (TypeError, ValueError):
            return
        if said.tzinfo is None:
            said = said.replace(tzinfo=UTC)
        self.read(said, sent=sent, received=received)

    def now(self) -> TimeRange | None:
        """Return the engine's present; None while it is measured and was never read."""
        known = self._known
        if known is None:
            if self.measured:
                return None
            wall = self._wall()
            return TimeRange(wall, wall)
        now = self._monotonic()
        present = known.later(now)
        return TimeRange(_moment(now + present.low), _moment(now + present.high))

    def best_guess(self) -> datetime:
        """Return the engine's present as one time, for what is shown; ours until it was read.

        Nothing is decided by it: see ``now``.
        """
        return self._wall() + self.shift()

    def offset(self) -> tuple[timedelta, timedelta] | None:
        """Return how far the engine's clock is ahead of our wall clock: least and most.

        None while nothing is known.
        """
        there, here = self.now(), self._wall()
        return None if there is None else (there.earliest - here, there.latest - here)

    def shift(self) -> timedelta:
        """Return what to add to a time of our wall clock, for what is shown.

        Nothing where the clocks may agree: each process measures anew, and would show another time
        of the same moment.
        """
        offset = self.offset()
        if offset is None or offset[0] <= timedelta(0) <= offset[1]:
            return timedelta(0)
        return (offset[0] + offset[1]) / 2


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

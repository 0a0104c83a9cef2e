"""Times as a person reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_PAIRS: Final = (((86400, "d"), (3600, "h")), ((3600, "h"), (60, "m")), ((60, "m"), (1, "s")))
_TENTHS_BELOW: Final = 10
_TWO_UNITS_BELOW: Final = 10


def short(seconds: float) -> str:
    """Return a duration in at most two units: ``0.4s``, ``42s``, ``3m20s``, ``2h``, ``5d``."""
    seconds = max(0.0, seconds)
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    for (large, unit), (small, small_unit) in _PAIRS:
        if seconds >= large:
            count, rest = divmod(int(seconds), large)
            more = rest // small
            both = more and count < _TWO_UNITS_BELOW
            return f"{count}{unit}{more}{small_unit}" if both else f"{count}{unit}"
    return f"{int(seconds)}s"


def age(moment: datetime | None, *, now: datetime) -> str:
    """Return how long ago a moment was; ``-`` when it is not known.

    Args:
        moment: A time.
        now: The present, by the clock that the moment is of.
    """
    if moment is None:
        return "-"
    return short((now - moment).total_seconds())


def between(start: datetime | None, end: datetime | None) -> str | None:
    """Return how long something took, None when an end is not known."""
    if start is None or end is None:
        return None
    return short((end - start).total_seconds())


def clock(moment: datetime) -> str:
    """Return a moment of the last days in the zone of this machine: ``14:03:59``."""
    return moment.astimezone().strftime("%H:%M:%S")


def local(moment: datetime) -> str:
    """Return a moment in the zone of this machine, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")

"""Times as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from spawnery.cli.printing import ages


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0s"),
        (0, "0s"),
        (0.44, "0.4s"),
        (42.9, "42s"),
        (59, "59s"),
        (60, "1m"),
        (200, "3m20s"),
        (720, "12m"),
        (3660, "1h1m"),
        (7200, "2h"),
        (86399, "23h"),
        (90000, "1d1h"),
        (86400 * 40, "40d"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, shown: str) -> None:
    """Small durations keep a tenth, large ones lose what nobody needs."""
    assert ages.short(seconds) == shown


def test_an_unknown_moment_is_a_dash() -> None:
    """A job that was not accepted yet has no age."""
    assert ages.age(None, now=datetime.now(UTC)) == "-"


def test_an_age_is_the_time_since() -> None:
    """The age of a moment is counted from now."""
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert ages.age(now - timedelta(minutes=5), now=now) == "5m"


def test_how_long_something_took_needs_both_ends() -> None:
    """Without an end there is no duration."""
    start = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert ages.between(start, None) is None
    assert ages.between(start, start + timedelta(seconds=1.5)) == "1.5s"

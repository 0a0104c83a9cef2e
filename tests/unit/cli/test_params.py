"""Values on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery.cli.options import params


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("15m", 900),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2d", 172800),
    ],
)
def test_a_duration_is_seconds_or_numbers_with_units(text: str, seconds: float) -> None:
    """Both forms are read."""
    assert params.DURATION.convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1x", "m", "1h-2m", "nan", "inf", "15 m"])
def test_what_is_no_duration_is_refused_with_what_is_allowed(text: str) -> None:
    """The refusal shows the value and an example."""
    with pytest.raises(click.BadParameter, match="15m") as refused:
        params.DURATION.convert(text, None, None)
    assert repr(text) in refused.value.message


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    """Hours, minutes and seconds are summed."""
    expected = hours * 3600 + minutes * 60 + seconds
    assert params.DURATION.convert(f"{hours}h{minutes}m{seconds}s", None, None) == pytest.approx(
        expected
    )


def test_since_takes_how_long_ago() -> None:
    """A duration stays one: whose clock it is counted back from, the spawner knows."""
    assert params.MOMENT.convert("10m", None, None) == timedelta(minutes=10)


def test_since_takes_iso_8601() -> None:
    """A moment with a zone is that moment; Z is a zone."""
    found = params.MOMENT.convert("2026-01-31T12:00:00Z", None, None)
    assert found == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_moment_without_zone_is_of_this_machine() -> None:
    """What a person types is local time."""
    found = params.MOMENT.convert("2026-01-31T12:00", None, None)
    assert found == datetime(2026, 1, 31, 12).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "1e99"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """The refusal shows the value."""
    with pytest.raises(click.BadParameter, match="no point in time"):
        params.MOMENT.convert(text, None, None)


def test_a_size_is_bytes_or_a_quantity() -> None:
    """The quantity notation of the specs counts here as well."""
    assert params.SIZE.convert("4096", None, None) == 4096
    assert params.SIZE.convert("4Ki", None, None) == 4096
    with pytest.raises(click.BadParameter, match="4X"):
        params.SIZE.convert("4X", None, None)


def test_a_pair_needs_an_equals_sign() -> None:
    """Only the first one counts."""
    assert params.PAIR.convert("a=b=c", None, None) == ("a", "b=c")
    with pytest.raises(click.BadParameter, match="KEY=VALUE"):
        params.PAIR.convert("a", None, None)

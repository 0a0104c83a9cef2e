"""What ``check`` says of the engine's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from spawnery.lifecycle.check import clock_item

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Fake


@pytest.mark.parametrize(
    ("least", "most", "level", "words"),
    [
        (-0.4, 0.7, "ok", "agree, within 0.7 s"),
        (1.2, 1.8, "ok", "1.5 s ahead of ours"),
        (1.5, 2.5, "ok", "2.0 s ahead"),
        (2.1, 3.1, "warning", "2.6 s ahead"),
        (3599.5, 3600.5, "warning", "3600.0 s ahead of ours (measured to 0.5 s)"),
        (-3600.5, -3599.5, "warning", "3600.0 s behind ours"),
    ],
)
def test_an_offset_is_a_warning_where_it_is_surely_large(
    least: float, most: float, level: str, words: str
) -> None:
    """More than two seconds, whatever the true value inside of the interval is."""
    item = clock_item((timedelta(seconds=least), timedelta(seconds=most)))
    assert (item.name, item.level) == ("clock", level)
    assert words in item.detail
    assert (item.hint is not None) == (level == "warning")


def test_an_engine_that_never_said_its_time() -> None:
    """Nothing is made up."""
    assert clock_item(None).level == "warning"


def test_check_measures_the_engine_it_looks_at(fake: Callable[..., Fake]) -> None:
    """The finding is there for a spawner that reports its engine's clock, with its offset."""
    from spawnery.testing.fake import FakeEngine

    case = fake(engine=FakeEngine(clock=lambda: time.time() + 3600))
    [item] = [item for item in case.spawner.check() if item.name == "clock"]
    assert item.level == "warning"
    assert "ahead of ours" in item.detail
    ahead = case.spawner.engine_now() - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)

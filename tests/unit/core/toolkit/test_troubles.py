"""Failures of what is tried again: the first seconds and repetitions are no warnings."""

from __future__ import annotations

import logging
import threading

import pytest
from spawnery.errors import EngineUnreachable, SpawnerError
from spawnery.lifecycle.troubles import Troubles

DOWN = EngineUnreachable("nothing listens there")


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings, and forget them."""
    found = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    caplog.clear()
    return found


def test_an_outage_is_one_warning(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    """Whatever fails of the same reason, and however often; again only after minutes."""
    troubles = Troubles(logging.getLogger("spawnery.test"), monotonic=clock)
    for _ in range(10):
        troubles.failed("watch failed, trying again", DOWN)
        troubles.failed("upkeep of the list", DOWN)
        clock.now += 0.25
    assert warned(caplog) == []
    for _ in range(100):
        clock.now += 1.0
        troubles.failed("watch failed, trying again", DOWN)
        troubles.failed("upkeep of the list", DOWN)
    assert warned(caplog) == ["watch failed, trying again: nothing listens there"]
    for _ in range(60):
        clock.now += 5.0
        troubles.failed("watch failed, trying again", DOWN)
    assert len(warned(caplog)) == 1


def test_another_reason_is_told_too(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    """What waiting does not mend is told at once; what came back after an hour is new."""
    troubles = Troubles(logging.getLogger("spawnery.test"), monotonic=clock)
    troubles.failed("watch failed, trying again", SpawnerError("a bug"))
    assert warned(caplog) == ["watch failed, trying again: a bug"]
    clock.now += 3600
    troubles.failed("watch failed, trying again", SpawnerError("a bug"))
    assert warned(caplog) == ["watch failed, trying again: a bug"]


def test_what_fails_because_all_is_closed(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    """It is no warning: nobody waits any more."""
    closing = threading.Event()
    troubles = Troubles(logging.getLogger("spawnery.test"), closing=closing, monotonic=clock)
    error = SpawnerError("the database is closed")
    closing.set()
    troubles.failed("watch failed, trying again", error)
    assert warned(caplog) == []

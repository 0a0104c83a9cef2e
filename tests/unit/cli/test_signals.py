"""Signals while a job is followed."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from spawnery.cli.app import App
from spawnery.cli.signals import StopOnSignal
from spawnery.errors import EngineUnreachable, JobNotFound, SpawnerError

LIMIT = 60.0


class Engine:
    """Stands where the facade stands: notes stops, and fails as scripted."""

    def __init__(self, *errors: SpawnerError) -> None:
        self.stops: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._errors = list(errors)

    def stop(self, job_id: str, *, grace_seconds: float | None = None) -> None:
        """Note a stop."""
        assert job_id == "demo"
        self.stops.put(grace_seconds)
        if self._errors:
            raise self._errors.pop(0)


@contextmanager
def entered(engine: Any) -> Iterator[StopOnSignal]:
    """Handle signals for the fake engine, and see that the handlers are put back."""
    before = signal.getsignal(signal.SIGTERM)
    with StopOnSignal(App({}), engine, "demo") as signals:
        yield signals
    for thread in threading.enumerate():
        if thread.name == "spawnery-stop":
            thread.join(LIMIT)  # it may still be saying what went wrong
    assert signal.getsignal(signal.SIGTERM) is before


def test_first_grace_then_kill_then_leave(capfd: pytest.CaptureFixture[str]) -> None:
    """Each further signal is stronger, and each says what the next one does."""
    engine = Engine()
    with entered(engine):
        os.kill(os.getpid(), signal.SIGTERM)
        assert engine.stops.get(timeout=LIMIT) is None
        os.kill(os.getpid(), signal.SIGINT)
        assert engine.stops.get(timeout=LIMIT) == 0.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    said = capfd.readouterr().err
    assert said.index("stopping demo") < said.index("killing demo")


def test_a_signal_before_the_job_is_there_stops_it_when_it_is() -> None:
    """The stop is not lost while the engine is still asked for the job."""
    engine = Engine(JobNotFound("no job demo"))
    with entered(engine) as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        engine.stops.get(timeout=LIMIT)
        assert engine.stops.empty()
        signals.spawned()
        assert engine.stops.get(timeout=LIMIT) is None


def test_a_stop_that_fails_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    """It is a warning: the job is still followed, and the next signal tries again."""
    engine = Engine(EngineUnreachable("nothing answers"))
    with entered(engine):
        os.kill(os.getpid(), signal.SIGTERM)
        engine.stops.get(timeout=LIMIT)
        os.kill(os.getpid(), signal.SIGTERM)
        engine.stops.get(timeout=LIMIT)
    assert "killing demo" in capfd.readouterr().err

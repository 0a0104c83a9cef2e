"""A spawner that fails in ``spawn``: the first error is told, nothing is tried blindly or left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from spawnery import JobSpec, JobState, Spawner
from spawnery.contract import SpawnerRuntime, SpawnRequest, hookimpl
from spawnery.errors import Ambiguous, NameConflict, SpawnerError
from spawnery.model import JobHandle
from spawnery.testing.fake import FakeEngine, FakeSettings, FakeSpawner, declare

SPEC = JobSpec(job_id="demo", image="img", command=["sleep:600"])


class Driver(Exception):
    """Nothing that we know."""


class Failing(FakeSpawner):
    """Fails at one step of a spawn, with an exception of its driver; counts how often it is asked.

    On the retry of an engine's object that it made and lost, the name is taken.
    """

    step = ""
    asked = 0
    error: Exception = Driver("no space left in the driver")

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Fail where it is told to."""
        self.asked += 1
        if self.step == "first":
            raise self.error
        if self.step == "created" and self.asked > 1:
            msg = "the name is in use"
            raise NameConflict(msg, job_id=request.job.job_id)
        return super().spawn(request if self.step == "started" else self._stopping(request))

    def _stopping(self, request: SpawnRequest) -> SpawnRequest:
        def created(engine_id: str) -> None:
            if self.step == "created":
                raise self.error
            request.created(engine_id)
            if self.step == "marked":
                raise self.error

        return evolve(request, created=created)

    def _call(self, point: str, name: str, act: Callable[[], Any], deadline: Any = None) -> Any:
        found = super()._call(point, name, act, deadline)
        if point == "start" and self.step == "started":
            self.step = "after"
            raise self.error
        return found


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., tuple[Spawner, Failing, FakeEngine]]]:
    """Open a spawner that fails at a step, on an engine of its own."""
    spawners: list[Spawner] = []

    def make(step: str, error: Exception | None = None) -> tuple[Spawner, Failing, FakeEngine]:
        made: list[Failing] = []
        engine = FakeEngine()

        def create(settings: FakeSettings, runtime: SpawnerRuntime) -> Failing:
            failing = Failing(engine, settings, runtime)
            failing.step = step
            failing.error = error or failing.error
            made.append(failing)
            return failing

        environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_SETTLE_SECONDS": "0.2"}
        spawner = Spawner.open(plugin=evolve(declare(engine), create=create), environ=environ)
        spawners.append(spawner)
        return spawner, made[0], engine

    yield make
    for spawner in spawners:
        spawner.close()


@pytest.mark.parametrize("step", ["first", "created"])
def test_a_foreign_exception_is_told_once(
    opened: Callable[..., tuple[Spawner, Failing, FakeEngine]], step: str
) -> None:
    """A plugin's bug is not retried; its own words come out, and no object and no record stays."""
    spawner, failing, engine = opened(step)
    with pytest.raises(SpawnerError) as caught:
        spawner.spawn(SPEC)
    assert caught.value.cause == "plugin.bug"
    assert "Driver: no space left in the driver" in caught.value.message
    assert failing.asked == 1
    assert engine.objects() == set()
    assert spawner.records.get("demo") is None
    assert spawner.list() == []


def test_a_foreign_exception_after_the_mark_is_the_jobs_end(
    opened: Callable[..., tuple[Spawner, Failing, FakeEngine]],
) -> None:
    """The job could have run, so it has an outcome, with the plugin's words; nothing is left."""
    spawner, failing, engine = opened("marked")
    spawner.spawn(SPEC)
    outcome = spawner.wait("demo", timeout=60)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "plugin.bug")
    assert "Driver: no space left in the driver" in outcome.message
    assert failing.asked == 1
    assert engine.objects() == set()


def test_a_foreign_exception_after_the_start_is_no_failure(
    opened: Callable[..., tuple[Spawner, Failing, FakeEngine]],
) -> None:
    """A look finds the job running: it goes on, once."""
    spawner, _, engine = opened("started")
    assert spawner.spawn(SPEC).created
    assert spawner.status("demo").state is JobState.RUNNING
    assert engine.starts("demo") == 1


def test_what_a_retry_finds_does_not_hide_why_there_was_one(
    opened: Callable[..., tuple[Spawner, Failing, FakeEngine]],
) -> None:
    """A reply that is lost before the object is known, then a taken name: both are told."""
    spawner, failing, engine = opened("created", Ambiguous("the engine closed the connection"))
    with pytest.raises(NameConflict) as caught:
        spawner.spawn(SPEC)
    assert failing.asked == 2
    assert "the name is in use" in caught.value.message
    assert "the engine closed the connection" in str(caught.value)
    assert spawner.records.get("demo") is None
    assert engine.objects() == set()

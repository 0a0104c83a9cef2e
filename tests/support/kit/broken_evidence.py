"""Spawners that mix up objects, places, clocks and crowds; registered for ``broken_spawners``."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from broken_base import Lying, caught, told_by
from spawnery.contract import (
    Cancellation,
    Place,
    RemoveRequest,
    SpawnRequest,
    StopRequest,
    hookimpl,
)
from spawnery.errors import EngineError, NameConflict, SpawnerError
from spawnery.model import JobHandle, JobStatus, Outcome
from spawnery.testing.fake import FakeSpawner

_ENDS: dict[tuple[str, str], Outcome] = {}


@caught("P3", "test_each_run_after_a_removal_runs")
class RemembersTheFirstEnd(Lying):
    """Says of each object how the first one of that name ended."""

    def ended(self, status: JobStatus, outcome: Outcome) -> JobStatus:
        """Look the end up by the name."""
        first = _ENDS.setdefault((self._instance, status.name), outcome)
        return evolve(status, outcome=first, state=first.state)


@caught("P3", "test_a_removed_job_does_not_come_back")
class LeavesTheRemoved(FakeSpawner):
    """Says that it has removed an object, and goes on telling of it."""

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Do nothing."""


@caught("P3", "test_the_record_id_comes_back")
class ForgetsTheRecord(Lying):
    """Declares identity and does not tell it."""

    def told(self, status: JobStatus) -> JobStatus:
        """Leave it out."""
        return evolve(status, record_id=None)


@caught("P3", "test_the_record_id_comes_back")
class ForgetsTheRecordInWatch(FakeSpawner):
    """Tells it in looks and not in the stream."""

    @hookimpl
    def watch(self, request: Any) -> Any:
        """Leave it out."""
        return told_by(super().watch(request), lambda status: evolve(status, record_id=None))


@caught("P3", "test_a_request_for_another_object")
class ActsByName(FakeSpawner):
    """Stops and removes whatever has the name."""

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """Forget which object is meant."""
        super().stop(evolve(request, engine_id=None))


@caught("P3", "test_a_look_from_another_place", "test_one_id_in_two_places")
class EverywhereTheSame(FakeSpawner):
    """Takes all engines for one place."""

    @hookimpl
    def place(self) -> Place:
        """Say the same of each."""
        return Place(endpoint="fake:", id="one")


@caught("P8", "test_a_deadline_with_another_clock")
class TellsOurTime(FakeSpawner):
    """Says that the engine's clock shows what ours shows."""

    def _read_clock(self) -> None:
        now = time.monotonic()
        here = datetime.now(UTC)
        self._runtime.engine_clock.read(here, sent=now, received=now, resolution=0.0)


@caught("P6", "test_a_retention_with_another_clock")
class TellsOurTimeOfEnds(TellsOurTime):
    """The same, for retention."""


@caught("P8", "test_many_deadlines_at_one_moment")
class OneStopAtATime(FakeSpawner):
    """Waits for the end of one job before it asks the next one to end."""

    _one = threading.Lock()

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """Take turns."""
        with self._one:
            super().stop(request)


@caught("P6", "test_a_stop_during_a_step_that_hangs")
class DeafToCancellation(FakeSpawner):
    """Does not hear of a stop while it spawns."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Wait for another cancellation, which never comes."""
        return super().spawn(evolve(request, cancellation=Cancellation()))


@caught("P1", "test_a_start_that_was_cut_off")
class NeverStartsTheCutOff(FakeSpawner):
    """Takes an object that is there for one that was started."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Leave alone what is there."""
        found = self._status(request.name)
        if found is None:
            return super().spawn(request)
        return JobHandle(job_id=found.job_id, name=found.name, engine_id=found.engine_id,
                         created=False, record_id=found.record_id)  # fmt: skip

    def _list(self) -> Sequence[JobStatus]:
        return [evolve(status, launched=True) for status in super()._list()]

    def _status(self, name: str) -> JobStatus | None:
        found = super()._status(name)
        return None if found is None else evolve(found, launched=True)


@caught("P4", "test_an_error_that_stays")
class BlamesTheName(FakeSpawner):
    """Says of its own second try that the name is taken."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Turn every error into that one."""
        try:
            return super().spawn(request)
        except (EngineError, SpawnerError) as error:
            msg = f"the name {request.name} is taken"
            raise NameConflict(msg, hint="choose another", job_id=request.job.job_id) from error

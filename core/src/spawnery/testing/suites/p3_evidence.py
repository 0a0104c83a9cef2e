"""P3: evidence names its object, and belongs to one place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from spawnery.contract.requests import RemoveRequest, StopRequest
from spawnery.errors import JobNotFound
from spawnery.model.outcome import JobState
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    Suite,
    finished,
    kept,
    limit,
    need,
    nothing_left,
    read,
    until_running,
)
from spawnery.testing.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_TIMES = 4
_LATE_SECONDS = 2.5
"""Evidence that comes late comes within seconds."""


class Evidence(Suite):
    """What the engine says is believed of the object that it is about, in its place."""

    @promise("P3")
    def test_each_run_after_a_removal_runs(self, bench: Bench, spawner: Spawner) -> None:
        """The same id, run and removed by turns, runs each time and has an end of its own."""
        spec = bench.spec(bench.counted("loop"), job_id="loop", **kept(spawner))
        starts = []
        for number in range(1, _TIMES + 1):
            outcome = finished(spawner, spec)
            assert outcome.state is JobState.SUCCEEDED
            assert bench.runs_of("loop") == number, "it succeeded without a run"
            starts.append(outcome.started_at)
            spawner.remove("loop")
        assert len(set(starts)) == _TIMES, f"an end of an earlier run: {starts}"
        nothing_left(bench)

    @promise("P3")
    def test_a_removed_job_does_not_come_back(self, bench: Bench) -> None:
        """Whoever begins to watch right after a removal brings no record back."""
        with bench.open() as before:
            spec = bench.spec(bench.counted("back"), job_id="back", **kept(before))
            finished(before, spec)
            before.remove("back")
        with bench.open() as after:
            with after.watch():
                time.sleep(_LATE_SECONDS)
                assert after.records.get("back") is None
                with pytest.raises(JobNotFound):
                    after.status("back")
            assert finished(after, spec).state is JobState.SUCCEEDED
            assert bench.runs_of("back") == 2
            after.remove("back")
        nothing_left(bench)

    @promise("P3")
    def test_the_record_id_comes_back(self, bench: Bench, spawner: Spawner) -> None:
        """Handle, status, list and watch carry the record id of the object that they are about."""
        need(spawner, "evidence.identity")
        spec = bench.spec(bench.commands.sleeps(600), job_id="named")
        with spawner.watch() as stream:
            handle = spawner.spawn(spec)
            record = spawner.records.get("named")
            assert record is not None
            told = {until_running(spawner, "named").record_id, handle.record_id}
            told |= {status.record_id for status in spawner.list() if status.job_id == "named"}
            running = (s for s in read(stream) if s.job_id == "named" and s.launched)
            told.add(next(s for s in running if s.state is JobState.RUNNING).record_id)
        assert told == {record.record_id}
        assert spawner.spawn(spec).record_id == record.record_id
        spawner.stop("named", grace_seconds=0)

    @promise("P3")
    def test_a_request_for_another_object(self, bench: Bench, spawner: Spawner) -> None:
        """Stop and remove of an object that is gone leave the next one of that name alone."""
        need(spawner, "evidence.identity")
        name = bench.name_of("heir")
        first = spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="heir"))
        spawner.remove("heir", force=True)
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="heir"))
        until_running(spawner, "heir")
        hooks = spawner._parts.spawner
        ask: dict[str, Any] = {"job_id": "heir", "name": name, "deadline": limit()}
        ask["engine_id"] = first.engine_id
        hooks.stop(StopRequest(**ask, reason="stop", grace_seconds=0))
        hooks.remove(RemoveRequest(**ask))
        assert spawner.status("heir").state is JobState.RUNNING
        spawner.stop("heir", grace_seconds=0)
        nothing_left(bench)

    @promise("P3")
    def test_a_look_from_another_place(self, bench: Bench, spawner: Spawner) -> None:
        """From another place a job is not found, not listed, not reaped, and does not end."""
        elsewhere = _second_place(bench, spawner)
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="far"))
        until_running(spawner, "far")
        with bench.open(extensions=(), SPAWNERY_ORPHAN_GRACE_SECONDS="0", **elsewhere) as other:
            for verb in (other.status, other.stop, other.remove):
                with pytest.raises(JobNotFound):
                    verb("far")
            with pytest.raises(JobNotFound):
                other.wait("far", timeout=PATIENCE)
            assert "far" not in {status.job_id for status in other.list()}
            assert "far" not in {decision.job_id for decision in other.reap()}
        assert spawner.status("far").state is JobState.RUNNING
        assert spawner.stop("far", grace_seconds=0).state is JobState.CANCELLED
        nothing_left(bench)

    @promise("P3")
    def test_one_id_in_two_places(self, bench: Bench, spawner: Spawner) -> None:
        """The same id in two places is two jobs with two ends."""
        elsewhere = _second_place(bench, spawner)
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="twin"))
        until_running(spawner, "twin")
        with bench.open(extensions=(), **elsewhere) as other:
            outcome = finished(other, bench.spec(bench.commands.exits(3), job_id="twin"))
            assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)

            def gone() -> bool:
                """The ended twin has been removed."""
                return "twin" not in {item.job_id for item in other.list() if not item.outcome}

            eventually(gone)
        assert spawner.status("twin").state is JobState.RUNNING
        assert spawner.stop("twin", grace_seconds=0).state is JobState.CANCELLED


def _second_place(bench: Bench, spawner: Spawner) -> Mapping[str, str]:
    need(spawner, "place")
    elsewhere = bench.elsewhere()
    if elsewhere is None:
        pytest.skip("this bench has no second place")
    return elsewhere

"""P3: one outcome."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from spawnery.errors import JobNotFound, JobRunning, WaitTimeout
from spawnery.model.outcome import JobState, JobStatus
from spawnery.testing import caller
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    Suite,
    finished,
    kept,
    need_shared,
    nothing_left,
    read,
    until_running,
)
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_WAITERS = 8
_JOBS = 10


class OneOutcome(Suite):
    """Every job reaches exactly one outcome, the same for all."""

    @promise("P3")
    def test_all_waiters_get_the_same(self, bench: Bench, spawner: Spawner) -> None:
        """Eight threads, a second spawner and status() tell the same outcome."""
        spec = bench.spec(bench.commands.prints("words", code=4), job_id="shared")
        with ThreadPoolExecutor(_WAITERS) as pool, bench.open() as other:
            spawner.spawn(spec)
            waits = [pool.submit(spawner.wait, "shared", PATIENCE) for _ in range(_WAITERS)]
            outcome = waits[0].result(PATIENCE)
            assert all(wait.result(PATIENCE) == outcome for wait in waits)
            assert other.wait("shared", timeout=PATIENCE) == outcome
        assert spawner.status("shared").outcome == outcome
        assert outcome.state is JobState.FAILED

    @promise("P3")
    def test_another_process_gets_the_same(self, bench: Bench, spawner: Spawner) -> None:
        """A process that waits while the job runs is told what we are told."""
        need_shared(bench)
        spec = bench.spec(bench.commands.sleeps(1), job_id="two", **kept(spawner))
        spawner.spawn(spec)
        elsewhere = caller.call(bench, caller.plain(spec), "wait", "status")
        outcome = spawner.wait("two", timeout=PATIENCE)
        assert elsewhere["wait"]["state"] == outcome.state
        assert elsewhere["wait"]["exit_code"] == outcome.exit_code == 0
        assert elsewhere["status"]["outcome"] == elsewhere["wait"]

    @promise("P3")
    def test_the_outcome_outlives_object_and_process(self, bench: Bench) -> None:
        """When neither the object nor its spawner is there any more, the outcome still is."""
        with bench.open() as before:
            outcome = finished(before, bench.spec(bench.commands.exits(5), job_id="kept"))
        assert outcome.exit_code == 5
        with bench.open() as after:
            nothing_left(bench)
            assert after.wait("kept", timeout=PATIENCE) == outcome
            assert after.status("kept").outcome == outcome
            assert "kept" in {status.job_id for status in after.list()}
            assert after.stop("kept") == outcome

    @promise("P3")
    def test_a_process_that_did_not_spawn_it(self, bench: Bench) -> None:
        """A job whose caller was killed is followed to its end by another process."""
        need_shared(bench)
        with bench.open() as spawner:
            spec = bench.spec(bench.commands.sleeps(0.5), job_id="heir", **kept(spawner))
            caller.call(bench, caller.plain(spec), "spawn", "die")
            outcome = spawner.wait("heir", timeout=PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.SUCCEEDED, 0)

    @promise("P3")
    def test_an_unknown_id(self, spawner: Spawner) -> None:
        """An id that nobody knows is JobNotFound for every verb."""
        for verb in (spawner.status, spawner.stop, spawner.remove):
            with pytest.raises(JobNotFound):
                verb("nobody")
        with pytest.raises(JobNotFound):
            spawner.wait("nobody", timeout=PATIENCE)

    @promise("P3")
    def test_a_wait_has_a_limit(self, bench: Bench, spawner: Spawner) -> None:
        """A wait whose time is over raises WaitTimeout, and the job goes on."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="long"))
        with pytest.raises(WaitTimeout):
            spawner.wait("long", timeout=0.1)
        assert until_running(spawner, "long").outcome is None
        assert spawner.stop("long", grace_seconds=0).state is JobState.CANCELLED

    @promise("P3")
    def test_a_running_job_is_not_removed(self, bench: Bench, spawner: Spawner) -> None:
        """remove() refuses a running job, and with force stops it first."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="busy"))
        until_running(spawner, "busy")
        with pytest.raises(JobRunning):
            spawner.remove("busy")
        assert spawner.status("busy").state is JobState.RUNNING
        spawner.remove("busy", force=True)
        nothing_left(bench)
        with pytest.raises(JobNotFound):
            spawner.status("busy")

    @promise("P3")
    def test_watch_tells_every_job_to_its_end(self, bench: Bench, spawner: Spawner) -> None:
        """watch() shows each of ten jobs up to its recorded outcome, and never goes back."""
        seen: dict[str, list[JobStatus]] = {f"each-{n}": [] for n in range(_JOBS)}
        with spawner.watch() as stream:
            for number, job_id in enumerate(seen):
                spawner.spawn(bench.spec(bench.commands.exits(number % 3), job_id=job_id))
            ended: set[str] = set()
            for status in read(stream):
                seen[status.job_id].append(status)
                if status.state.terminal:
                    ended.add(status.job_id)
                if len(ended) == _JOBS:
                    break
        for job_id, statuses in seen.items():
            recorded = spawner.wait(job_id, timeout=PATIENCE)
            assert statuses[-1].outcome == recorded
            states = [status.state.terminal for status in statuses]
            assert states == sorted(states), f"{job_id} came back to life: {statuses}"

    @promise("P3")
    def test_stop_of_an_ended_job(self, bench: Bench, spawner: Spawner) -> None:
        """A stop that comes too late returns the outcome that the job had."""
        outcome = finished(spawner, bench.spec(bench.commands.exits(0), job_id="late"))
        assert spawner.stop("late") == outcome
        assert outcome.state is JobState.SUCCEEDED

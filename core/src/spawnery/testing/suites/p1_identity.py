"""P1: one id, one object."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from spawnery.errors import JobNotFound, NameConflict, SpawnerError, SpecConflict, StateError
from spawnery.model.outcome import JobHandle, JobState
from spawnery.testing import caller
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.portsweep import sweep_requests
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    Suite,
    finished,
    kept,
    need_faults,
    need_shared,
    need_shared_faults,
    nothing_left,
    until_running,
)
from spawnery.testing.sweep import sweep
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_THREADS = 12
_PROCESSES = 4


class Identity(Suite):
    """One id, one object."""

    @promise("P1")
    def test_same_spec_again_is_the_same_job(self, bench: Bench, spawner: Spawner) -> None:
        """Spawning a running job again returns its handle with created=False."""
        spec = bench.spec(bench.commands.sleeps(600), job_id="same")
        first = spawner.spawn(spec)
        again = spawner.spawn(spec)
        spawner.stop("same", grace_seconds=0)
        assert (first.created, again.created) == (True, False)
        assert (again.job_id, again.name, again.engine_id) == ("same", first.name, first.engine_id)

    @promise("P1")
    def test_other_spec_is_a_conflict(self, bench: Bench, spawner: Spawner) -> None:
        """An id with another spec is a SpecConflict, and the running job is not touched."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="taken"))
        until_running(spawner, "taken")
        with pytest.raises(SpecConflict) as caught:
            spawner.spawn(bench.spec(bench.commands.exits(0), job_id="taken"))
        status = spawner.status("taken")
        spawner.stop("taken", grace_seconds=0)
        assert caught.value.job_id == "taken"
        assert caught.value.hint
        assert status.state is JobState.RUNNING

    @promise("P1")
    def test_other_spec_after_the_end_is_a_conflict(self, bench: Bench, spawner: Spawner) -> None:
        """The record of an ended job keeps its id for its spec."""
        finished(spawner, bench.spec(bench.commands.exits(0), job_id="ended"))
        with pytest.raises(SpecConflict):
            spawner.spawn(bench.spec(bench.commands.exits(1), job_id="ended"))

    @promise("P1")
    def test_foreign_object_is_a_conflict(self, bench: Bench, spawner: Spawner) -> None:
        """An object of somebody else under the name is a NameConflict, and stays as it is."""
        name = bench.name_of("foreign")
        bench.plant_foreign(name)
        spec = bench.spec(bench.counted("foreign"), job_id="foreign")
        with pytest.raises(NameConflict) as caught:
            spawner.spawn(spec)
        assert caught.value.hint
        assert bench.foreign_untouched(name)
        assert bench.runs_of("foreign") == 0

    @promise("P1")
    def test_foreign_object_is_no_job(self, bench: Bench, spawner: Spawner) -> None:
        """No verb takes an object of somebody else for a job, or touches it."""
        name = bench.name_of("foreign")
        bench.plant_foreign(name)
        for verb in (spawner.status, spawner.stop, spawner.wait, spawner.remove):
            with pytest.raises(JobNotFound):
                verb("foreign")
        assert "foreign" not in {status.job_id for status in spawner.list()}
        spawner.reap()
        assert bench.foreign_untouched(name)

    @promise("P1")
    def test_the_object_itself_knows_its_spec(self, bench: Bench) -> None:
        """With the record lost, the object that is there is taken for its own spec alone."""
        spec = bench.spec(bench.commands.sleeps(600), job_id="amnesia")
        with bench.open() as before:
            first = before.spawn(spec)
            until_running(before, "amnesia")
            before.records.forget("amnesia")
        with bench.open() as other, pytest.raises(SpecConflict) as caught:
            other.spawn(bench.spec(bench.commands.exits(0), job_id="amnesia"))
        assert caught.value.job_id == "amnesia"
        with bench.open() as after:
            again = after.spawn(spec)
            assert (again.created, again.engine_id) == (False, first.engine_id)
            after.remove("amnesia", force=True)
        nothing_left(bench)

    @promise("P1")
    def test_nothing_runs_before_it_is_recorded(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the record of the object cannot be written, its program runs once at most.

        It does not run at all, unless the engine makes and starts it by one request.
        """

        def full(*_given: object, **_named: object) -> None:
            msg = "the kit lets no record be written"
            raise StateError(msg)

        spec = bench.spec(bench.counted("unmarked"), job_id="unmarked")
        with bench.open() as spawner:
            with monkeypatch.context() as patched:
                patched.setattr(spawner.records, "created", full)
                with pytest.raises(SpawnerError):
                    spawner.spawn(spec)
            if not bench.starts_at_once:
                assert bench.runs_of("unmarked") == 0
            assert finished(spawner, spec).state is JobState.SUCCEEDED
            assert bench.runs_of("unmarked") == 1
            nothing_left(bench)

    @promise("P1")
    def test_many_threads_make_one_job(self, bench: Bench) -> None:
        """Of twelve threads with one id, in two spawners, exactly one makes the job."""
        spec = bench.spec(bench.counted("crowd"), job_id="crowd", **_kept(bench))
        with bench.open() as one, bench.open() as two, ThreadPoolExecutor(_THREADS) as pool:
            calls = [pool.submit((one, two)[n % 2].spawn, spec) for n in range(_THREADS)]
            handles = [call.result(PATIENCE) for call in calls]
            outcome = one.wait("crowd", timeout=PATIENCE)
        _one_made(handles)
        assert outcome.state is JobState.SUCCEEDED
        assert bench.runs_of("crowd") == 1

    @promise("P1")
    def test_many_processes_make_one_job(self, bench: Bench) -> None:
        """Of four processes with one id exactly one makes the job, and all see one outcome."""
        need_shared(bench)
        fields = caller.plain(bench.spec(bench.counted("procs"), job_id="procs", **_kept(bench)))
        started = [caller.start(bench, fields, "spawn", "wait") for _ in range(_PROCESSES)]
        results = [caller.finish(process) for process in started]
        assert [result["spawn"].get("created") for result in results].count(True) == 1, results
        assert bench.runs_of("procs") == 1
        assert {str(result["wait"]) for result in results} == {str(results[0]["wait"])}
        assert results[0]["wait"]["state"] == JobState.SUCCEEDED

    @promise("P1")
    def test_an_ended_job_does_not_run_again(self, bench: Bench, spawner: Spawner) -> None:
        """Spawning again after the end, when no object is left, runs nothing."""
        spec = bench.spec(bench.counted("once"), job_id="once")
        outcome = finished(spawner, spec)
        nothing_left(bench)
        again = spawner.spawn(spec)
        assert not again.created
        assert spawner.wait("once", timeout=PATIENCE) == outcome
        assert bench.runs_of("once") == 1
        assert not bench.objects()

    @promise("P1")
    def test_remove_frees_the_id(self, bench: Bench, spawner: Spawner) -> None:
        """After remove() the same id makes a new job."""
        spec = bench.spec(bench.counted("again"), job_id="again")
        finished(spawner, spec)
        spawner.remove("again")
        with pytest.raises(JobNotFound):
            spawner.status("again")
        assert finished(spawner, spec).state is JobState.SUCCEEDED
        assert bench.runs_of("again") == 2

    @promise("P1")
    @pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.ERROR_500_AFTER])
    @pytest.mark.parametrize("point", ["create", "start"])
    def test_a_lost_reply(self, bench: Bench, spawner: Spawner, point: str, fault: Fault) -> None:
        """A request or reply lost at create or start makes no second job, and no lost one."""
        port = need_faults(bench, point)
        at = bench.fault_points[point]
        port.arm(Rule(fault, method=at.method, path=at.path, times=1))
        spec = bench.spec(bench.counted("reply"), job_id="reply")
        handle = spawner.spawn(spec)
        outcome = spawner.wait("reply", timeout=PATIENCE)
        assert handle.created
        assert outcome.state is JobState.SUCCEEDED
        assert bench.runs_of("reply") == 1
        nothing_left(bench)

    @promise("P1")
    def test_a_caller_killed_at_every_step(self, bench: Bench) -> None:
        """A caller killed (-9) at any step of spawn: the next one resumes; one run, one outcome."""
        need_shared(bench)
        with bench.open() as spawner:
            fields = kept(spawner)
        killed = sweep(bench, name="crash", **fields)
        assert len(killed) > 1
        with bench.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
            for job in killed:
                spawner.spawn(job.spec)
            for job in killed:
                outcome = spawner.wait(job.spec.job_id, timeout=PATIENCE)
                at = f"killed at step {job.step}: {outcome}"
                assert outcome.state is JobState.SUCCEEDED, at
                assert bench.runs_of(job.spec.job_id) == 1, at
                spawner.remove(job.spec.job_id)
            nothing_left(bench)

    @promise("P1")
    def test_a_caller_killed_at_every_request(self, bench: Bench) -> None:
        """A caller killed (-9) around any request of its spawn: one run, one outcome."""
        port = need_shared_faults(bench)
        for job in sweep_requests(bench, port, name="request", **_kept(bench)):
            with bench.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
                outcome = finished(spawner, job.spec)
                assert outcome.state is JobState.SUCCEEDED, f"{job.where}: {outcome}"
                assert bench.runs_of(job.spec.job_id) == 1, job.where
                spawner.remove(job.spec.job_id)
                nothing_left(bench)


def _kept(bench: Bench) -> dict[str, object]:
    with bench.open() as spawner:
        return kept(spawner)


def _one_made(handles: list[JobHandle]) -> None:
    assert [handle.created for handle in handles].count(True) == 1, handles
    assert len({(handle.job_id, handle.name) for handle in handles}) == 1

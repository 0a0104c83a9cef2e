"""P6: nothing left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from spawnery.errors import JobNotFound, SpawnerError
from spawnery.model.outcome import JobState
from spawnery.testing import caller
from spawnery.testing.portsweep import sweep_requests
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    Suite,
    finished,
    need,
    need_shared,
    need_shared_faults,
    nothing_left,
    promptly,
    until_ready,
)
from spawnery.testing.sweep import sweep
from spawnery.testing.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench


class Leaks(Suite):
    """No object of ours stays behind, whatever happens."""

    @promise("P6")
    @pytest.mark.parametrize("code", [0, 1])
    def test_after_the_end(self, bench: Bench, spawner: Spawner, code: int) -> None:
        """A job with retention 0 leaves nothing, neither after success nor after failure."""
        finished(spawner, bench.spec(bench.commands.exits(code), job_id="ends"))
        nothing_left(bench)

    @promise("P6")
    def test_after_a_stop(self, bench: Bench, spawner: Spawner) -> None:
        """A stopped job leaves nothing, a child in a session of its own included."""
        spawner.spawn(bench.spec(bench.commands.leaves_child(), job_id="parent"))
        until_ready(spawner, "parent")
        promptly(spawner.stop, "parent")
        nothing_left(bench)

    @promise("P6")
    def test_after_a_stop_before_it_ran(self, bench: Bench, spawner: Spawner) -> None:
        """A job that is stopped at once leaves nothing and never runs later."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="early"))
        assert promptly(spawner.stop, "early", grace_seconds=0).state is JobState.CANCELLED
        nothing_left(bench)

    @promise("P6")
    def test_after_a_deadline(self, bench: Bench, spawner: Spawner) -> None:
        """A job that was ended at its deadline leaves nothing, a child of its own included."""
        need(spawner, "field.deadline_seconds")
        command = bench.commands.leaves_child()
        outcome = finished(spawner, bench.spec(command, job_id="over", deadline_seconds=1))
        assert outcome.state is JobState.TIMED_OUT
        nothing_left(bench)

    @promise("P6")
    def test_after_a_failed_start(self, bench: Bench, spawner: Spawner) -> None:
        """A job that cannot start leaves nothing."""
        spec = bench.spec(bench.commands.is_not_there(), job_id="never")
        try:
            spawner.spawn(spec)
            spawner.wait("never", timeout=PATIENCE)
        except SpawnerError as error:
            assert error.cause == "start.command_not_found"
        nothing_left(bench)

    @promise("P6")
    def test_after_remove(self, bench: Bench, spawner: Spawner) -> None:
        """remove() leaves neither object nor record."""
        need(spawner, "field.retention_seconds")
        spec = bench.spec(bench.commands.exits(0), job_id="rm", retention_seconds=900)
        finished(spawner, spec)
        assert bench.objects()
        spawner.remove("rm")
        nothing_left(bench)
        with pytest.raises(JobNotFound):
            spawner.status("rm")

    @promise("P6")
    def test_after_its_retention(self, bench: Bench, spawner: Spawner) -> None:
        """An ended job is kept for its retention, then goes while anybody watches."""
        need(spawner, "field.retention_seconds")
        spec = bench.spec(bench.commands.exits(0), job_id="stay", retention_seconds=1.5)
        finished(spawner, spec)
        assert bench.objects()
        nothing_left(bench)
        assert spawner.status("stay").state is JobState.SUCCEEDED

    @promise("P6")
    def test_reap_after_its_retention(self, bench: Bench) -> None:
        """An ended job whose retention is over is removed by reap, whoever spawned it."""
        with bench.open() as before:
            need(before, "field.retention_seconds")
            spec = bench.spec(bench.commands.exits(0), job_id="old", retention_seconds=0.6)
            finished(before, spec)
        with bench.open() as after:

            def reaped() -> bool:
                """Reap has removed it."""
                after.reap()
                return not bench.objects()

            eventually(reaped)
            assert after.status("old").state is JobState.SUCCEEDED

    @promise("P6")
    def test_reap_after_a_dead_caller(self, bench: Bench) -> None:
        """The end of a job whose caller was killed is recorded by reap, and its object removed."""
        need_shared(bench)
        spec = bench.spec(bench.commands.exits(0), job_id="dead")
        caller.call(bench, caller.plain(spec), "spawn", "die")
        with bench.open() as after:

            def reaped() -> bool:
                """Reap has removed it."""
                after.reap()
                return not bench.objects()

            eventually(reaped)
            assert after.status("dead").state in {JobState.SUCCEEDED, JobState.LOST}

    @promise("P6")
    @pytest.mark.parametrize("deadline", [None, 900])
    def test_reap_of_what_outlives_its_program(self, bench: Bench, deadline: int | None) -> None:
        """Nobody watches a program that succeeds and of whose job a part goes on.

        The next process that reaps records the success and leaves nothing.
        """
        if bench.lingers is None:
            pytest.skip("this bench has no job of which a part outlives its program")
        with bench.open() as before:
            need(before, *(() if deadline is None else ("field.deadline_seconds",)))
            fields: dict[str, Any] = {"job_id": "linger", "deadline_seconds": deadline}
            # So long the end of what is over by itself can be read.
            if "field.retention_seconds" in before.capabilities:
                fields["retention_seconds"] = 1
            before.spawn(bench.spec(**{**fields, **bench.lingers}))
        with bench.open() as after:

            def reaped() -> bool:
                """Reap has removed it."""
                after.reap()
                return not bench.objects()

            eventually(reaped)
            assert after.status("linger").state is JobState.SUCCEEDED

    @promise("P6")
    def test_reap_of_every_orphan(self, bench: Bench) -> None:
        """Whatever a caller killed at any step of spawn leaves is tidied up by reap alone."""
        need_shared(bench)
        killed = sweep(bench, name="orphan")
        with bench.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
            _reaped(bench, spawner)
            for job in killed:
                try:
                    status = spawner.status(job.spec.job_id)
                except JobNotFound:
                    assert bench.runs_of(job.spec.job_id) == 0
                    continue
                assert status.state.terminal, f"step {job.step}: {status}"
                assert bench.runs_of(job.spec.job_id) <= 1

    @promise("P6")
    def test_reap_after_a_caller_killed_at_every_request(self, bench: Bench) -> None:
        """Whatever a caller killed around any request of its spawn leaves, reap tidies up."""
        port = need_shared_faults(bench)
        for job in sweep_requests(bench, port, name="struck"):
            with bench.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
                _reaped(bench, spawner)
            assert bench.runs_of(job.spec.job_id) <= 1, job.where

    @promise("P6")
    def test_a_dry_run_touches_nothing(self, bench: Bench) -> None:
        """A dry run of reap says what it would do and why, and does nothing."""
        with bench.open() as before:
            need(before, "field.retention_seconds", "field.deadline_seconds")
            spec = bench.spec(bench.commands.sleeps(600), job_id="dry", deadline_seconds=900)
            before.spawn(spec)
            until_ready(before, "dry")
        with bench.open() as after:
            there = bench.objects()
            decisions = after.reap(dry_run=True)
            assert {decision.job_id for decision in decisions} == {"dry"}
            assert all(decision.reason and not decision.done for decision in decisions)
            assert bench.objects() == there
            after.remove("dry", force=True)
        nothing_left(bench)

    @promise("P6")
    def test_foreign_objects_stay(self, bench: Bench, spawner: Spawner) -> None:
        """Whatever we tidy up, what is not ours stays as it is."""
        foreign = bench.name_of("not-ours")
        bench.plant_foreign(foreign)
        others = frozenset(bench.objects())
        finished(spawner, bench.spec(bench.commands.exits(0), job_id="ours"))
        spawner.reap()
        nothing_left(bench, but=others)
        assert bench.foreign_untouched(foreign)

    @promise("P6")
    def test_another_instance_stays(self, bench: Bench, spawner: Spawner) -> None:
        """Jobs of another instance are neither listed nor reaped."""
        need(spawner, "field.retention_seconds")
        with bench.open(SPAWNERY_INSTANCE="kit-other") as other:
            other.spawn(bench.spec(bench.commands.sleeps(600), job_id="theirs"))
            until_ready(other, "theirs")
            assert "theirs" not in {status.job_id for status in spawner.list()}
            assert "theirs" not in {decision.job_id for decision in spawner.reap()}
            with pytest.raises(JobNotFound):
                spawner.stop("theirs")
            assert other.status("theirs").state is JobState.RUNNING
            other.remove("theirs", force=True)
        nothing_left(bench)


def _reaped(bench: Bench, spawner: Spawner) -> None:
    """Wait until reap has left neither an object nor a job without an outcome."""

    def reaped() -> bool:
        """Reap has left nothing."""
        spawner.reap()
        assert not bench.objects()
        return not spawner.records.unfinished()

    eventually(reaped)

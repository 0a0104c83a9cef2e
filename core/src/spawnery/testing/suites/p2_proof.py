"""P2: no false success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spawnery.errors import SpawnFailed
from spawnery.model.outcome import JobState
from spawnery.testing import caller
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    Suite,
    finished,
    need,
    need_faults,
    need_shared,
    nothing_left,
    promptly,
    until_ready,
    until_running,
)
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench


class Proof(Suite):
    """No success without proof."""

    @promise("P2")
    def test_success_has_its_proof(self, bench: Bench, spawner: Spawner) -> None:
        """SUCCEEDED comes with exit code 0 and the time of the start."""
        outcome = finished(spawner, bench.spec(bench.commands.exits(0), job_id="good"))
        assert outcome.state is JobState.SUCCEEDED
        assert (outcome.exit_code, outcome.cause) == (0, "exit.zero")
        assert outcome.started_at is not None
        assert outcome.finished_at is not None
        assert outcome.finished_at.tzinfo is not None
        assert outcome.started_at <= outcome.finished_at

    @promise("P2")
    @pytest.mark.parametrize("code", [1, 7, 125, 255])
    def test_a_nonzero_exit_is_a_failure(self, bench: Bench, spawner: Spawner, code: int) -> None:
        """Any exit code but 0 is FAILED with that code."""
        outcome = finished(spawner, bench.spec(bench.commands.exits(code), job_id=f"bad-{code}"))
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, code)

    @promise("P2")
    def test_a_running_job_has_no_outcome(self, bench: Bench, spawner: Spawner) -> None:
        """As long as a job runs, nothing says how it ended."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="runs"))
        status = until_running(spawner, "runs")
        listed = {item.job_id: item.state for item in spawner.list()}
        spawner.stop("runs", grace_seconds=0)
        assert status.outcome is None
        assert listed["runs"] is JobState.RUNNING

    @promise("P2")
    @pytest.mark.parametrize("kill", ["stop", "deadline"])
    def test_exit_0_after_a_kill_is_no_success(
        self, bench: Bench, spawner: Spawner, kill: str
    ) -> None:
        """A program that traps SIGTERM and exits 0 after a kill of ours has not succeeded."""
        need(spawner, "field.deadline_seconds" if kill == "deadline" else "stop.graceful")
        seconds = 2 + bench.start_seconds
        fields = {"deadline_seconds": seconds} if kill == "deadline" else {}
        spawner.spawn(bench.spec(bench.commands.traps_term(0), job_id="trap", **fields))
        until_ready(spawner, "trap")
        if kill == "stop":
            promptly(spawner.stop, "trap", grace_seconds=PATIENCE)
        outcome = spawner.wait("trap", timeout=PATIENCE * 2)
        assert outcome.state is {"stop": JobState.CANCELLED, "deadline": JobState.TIMED_OUT}[kill]

    @promise("P2")
    def test_what_never_started_is_no_success(self, bench: Bench, spawner: Spawner) -> None:
        """A program that could not be started has neither succeeded nor an exit code 0."""
        try:
            outcome = finished(spawner, bench.spec(bench.commands.is_not_there(), job_id="never"))
        except SpawnFailed:
            return
        assert outcome.state is JobState.FAILED
        assert outcome.exit_code != 0

    @promise("P2")
    def test_an_object_that_somebody_removed(self, bench: Bench, spawner: Spawner) -> None:
        """A job whose object vanishes while it is watched is LOST."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="gone"))
        until_ready(spawner, "gone")
        bench.kill_engine_side("gone")
        outcome = spawner.wait("gone", timeout=PATIENCE)
        _unproven(outcome.state, outcome.cause)
        assert outcome.exit_code != 0

    @promise("P2")
    def test_an_object_that_vanished_unseen(self, bench: Bench) -> None:
        """A job whose object vanishes while nobody looks is LOST for whoever looks later."""
        with bench.open() as before:
            before.spawn(bench.spec(bench.commands.sleeps(600), job_id="unseen"))
            until_ready(before, "unseen")
        bench.kill_engine_side("unseen")
        with bench.open() as after:
            outcome = after.wait("unseen", timeout=PATIENCE)
            assert after.status("unseen").outcome == outcome
        _unproven(outcome.state, outcome.cause)

    @promise("P2")
    def test_a_dead_caller_proves_nothing(self, bench: Bench) -> None:
        """A caller killed while its job runs changes nothing about how the job ends."""
        need_shared(bench)
        spec = bench.spec(bench.commands.sleeps(600), job_id="left")
        caller.call(bench, caller.plain(spec), "spawn", "die")
        with bench.open() as spawner:
            status = until_running(spawner, "left")
            assert status.outcome is None
            assert spawner.stop("left", grace_seconds=0).state is JobState.CANCELLED
            nothing_left(bench)

    @promise("P2")
    def test_a_broken_watch_proves_nothing(self, bench: Bench) -> None:
        """When the stream of changes breaks, jobs go on, and their real end is found."""
        port = need_faults(bench, "watch")
        at = bench.fault_points["watch"]
        port.arm(Rule(Fault.CUT_MID_STREAM, method=at.method, path=at.path, times=3, after_bytes=1))
        with bench.open() as spawner:
            ids = [f"cut-{n}" for n in range(3)]
            for number, job_id in enumerate(ids):
                spawner.spawn(bench.spec(bench.commands.exits(number), job_id=job_id))
            outcomes = [spawner.wait(job_id, timeout=PATIENCE) for job_id in ids]
        assert [outcome.exit_code for outcome in outcomes] == [0, 1, 2]

    @promise("P2")
    def test_a_watch_that_cannot_be_opened(self, bench: Bench) -> None:
        """While the engine refuses the watch, no job ends; afterwards the real end is found."""
        port = need_faults(bench, "watch")
        at = bench.fault_points["watch"]
        port.arm(Rule(Fault.DROP_BEFORE, method=at.method, path=at.path, times=3))
        with bench.open() as spawner:
            outcome = finished(spawner, bench.spec(bench.commands.exits(3), job_id="deaf"))
        assert outcome.exit_code == 3


def _unproven(state: JobState, cause: str) -> None:
    assert (state, cause) in {
        (JobState.LOST, "lost.missing"),
        (JobState.LOST, "lost.supervisor"),
        (JobState.FAILED, "killed.external"),
    }

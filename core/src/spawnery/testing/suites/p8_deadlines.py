"""P8: deadlines hold, and so do stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spawnery.model.outcome import JobState, Outcome
from spawnery.testing import caller
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    Suite,
    Timer,
    need,
    need_shared,
    nothing_left,
    promptly,
    until_ready,
)
from spawnery.testing.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_LONG = 600.0
"""What the programs would run; any end long before is ours."""


class Deadlines(Suite):
    """A job ends when its time is over, or when it is told to."""

    @promise("P8")
    def test_a_deadline(self, bench: Bench, spawner: Spawner) -> None:
        """A job past its deadline is stopped and TIMED_OUT, and nothing of it stays."""
        need(spawner, "field.deadline_seconds")
        spec = bench.spec(bench.commands.sleeps(_LONG), job_id="late", deadline_seconds=1)
        timer = Timer()
        spawner.spawn(spec)
        outcome = spawner.wait("late", timeout=PATIENCE * 2)
        assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
        assert timer.seconds >= 0.9
        assert outcome.message
        nothing_left(bench)

    @promise("P8")
    def test_a_job_within_its_deadline(self, bench: Bench, spawner: Spawner) -> None:
        """A deadline that is not reached changes nothing."""
        need(spawner, "field.deadline_seconds")
        spawner.spawn(bench.spec(bench.commands.exits(0), job_id="early", deadline_seconds=300))
        assert spawner.wait("early", timeout=PATIENCE).state is JobState.SUCCEEDED

    @promise("P8")
    @pytest.mark.parametrize("code", [0, 3])
    def test_a_deadline_of_a_program_that_traps_term(
        self, bench: Bench, spawner: Spawner, code: int
    ) -> None:
        """A program that traps SIGTERM at its deadline and exits 0 is TIMED_OUT all the same."""
        need(spawner, "field.deadline_seconds")
        spec = bench.spec(bench.commands.traps_term(code), job_id="trap", deadline_seconds=2)
        spawner.spawn(spec)
        outcome = spawner.wait("trap", timeout=PATIENCE * 2)
        assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")

    @promise("P8")
    def test_a_deadline_of_a_program_that_ignores_term(
        self, bench: Bench, spawner: Spawner
    ) -> None:
        """A program that ignores SIGTERM is killed after the grace."""
        need(spawner, "field.deadline_seconds")
        spec = bench.spec(bench.commands.ignores_term(), job_id="deaf", deadline_seconds=1)
        spawner.spawn(spec)
        outcome = spawner.wait("deaf", timeout=PATIENCE * 2)
        assert outcome.state is JobState.TIMED_OUT
        nothing_left(bench)

    @promise("P8")
    @pytest.mark.parametrize("program", ["sleeps", "traps_term"])
    def test_a_deadline_after_a_dead_caller(self, bench: Bench, program: str) -> None:
        """A deadline holds when the caller was killed: by the engine, any process, or reap."""
        need_shared(bench)
        with bench.open() as before:
            need(before, "field.deadline_seconds")
        command = (
            bench.commands.sleeps(_LONG) if program == "sleeps" else bench.commands.traps_term(0)
        )
        spec = bench.spec(command, job_id="widow", deadline_seconds=1.5)
        caller.call(bench, caller.plain(spec), "spawn", "die")
        with bench.open() as after:

            def over() -> Outcome | None:
                """Reap or the engine has ended it."""
                after.reap()
                return after.status("widow").outcome

            outcome = eventually(over, within=PATIENCE * 2)
            assert outcome is not None
            assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
            after.reap()
            nothing_left(bench)

    @promise("P8")
    def test_the_object_itself_carries_its_limits(self, bench: Bench) -> None:
        """Whoever looks is told deadlines and retention, also when the record is lost."""
        fields = {"deadline_seconds": 900.0, "start_deadline_seconds": 800.0}
        fields["retention_seconds"] = 700.0
        with bench.open() as before:
            fields = {key: fields[key] for key in fields if f"field.{key}" in before.capabilities}
            before.spawn(bench.spec(bench.commands.sleeps(_LONG), job_id="told", **fields))
            until_ready(before, "told")
            before.records.forget("told")
        with bench.open() as after:
            status = after.status("told")
            listed = {item.job_id: item for item in after.list()}["told"]
            after.remove("told", force=True)
        for key, value in fields.items():
            assert getattr(status, key) == value, f"status() does not tell {key}"
            assert getattr(listed, key) == value, f"list() does not tell {key}"
        nothing_left(bench)

    @promise("P8")
    def test_a_start_deadline(self, bench: Bench, spawner: Spawner) -> None:
        """A job that does not run in time is given up: TIMED_OUT, and nothing stays."""
        need(spawner, "field.start_deadline_seconds")
        if bench.stuck is None:
            pytest.skip("this bench has no job that is accepted and never runs")
        fields = {"job_id": "stuck", "start_deadline_seconds": 1.0, **bench.stuck}
        spawner.spawn(bench.spec(bench.commands.exits(0), **fields))
        outcome = spawner.wait("stuck", timeout=PATIENCE * 2)
        assert outcome.state is JobState.TIMED_OUT
        assert outcome.exit_code is None
        nothing_left(bench)

    @promise("P8")
    def test_a_job_that_started_in_time(self, bench: Bench, spawner: Spawner) -> None:
        """A start deadline that is over does nothing to a job that runs."""
        need(spawner, "field.start_deadline_seconds")
        seconds = 2 + bench.start_seconds
        command = bench.commands.sleeps(seconds + 1)
        spawner.spawn(bench.spec(command, job_id="started", start_deadline_seconds=seconds))
        assert spawner.wait("started", timeout=PATIENCE + seconds).state is JobState.SUCCEEDED

    @promise("P8")
    def test_a_stop_of_a_program_that_traps_term(self, bench: Bench, spawner: Spawner) -> None:
        """A program that traps SIGTERM after a stop and exits 0 is CANCELLED all the same."""
        need(spawner, "stop.graceful")
        spawner.spawn(bench.spec(bench.commands.traps_term(0), job_id="polite"))
        until_ready(spawner, "polite")
        outcome = promptly(spawner.stop, "polite", grace_seconds=PATIENCE)
        assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
        assert outcome.exit_code == 0, "it had its grace, and its own exit code"
        nothing_left(bench)

    @promise("P8")
    def test_a_stop_of_a_program_that_ignores_term(self, bench: Bench, spawner: Spawner) -> None:
        """A program that ignores SIGTERM has its grace, then is killed."""
        spawner.spawn(bench.spec(bench.commands.ignores_term(), job_id="stubborn"))
        until_ready(spawner, "stubborn")
        timer = Timer()
        outcome = promptly(spawner.stop, "stubborn", grace_seconds=1)
        assert outcome.state is JobState.CANCELLED
        assert outcome.exit_code != 0
        assert timer.seconds < PATIENCE
        if "stop.graceful" in spawner.capabilities:
            assert timer.seconds >= 0.9
        nothing_left(bench)

    @promise("P8")
    def test_a_stop_without_grace(self, bench: Bench, spawner: Spawner) -> None:
        """Grace 0 kills at once."""
        spawner.spawn(bench.spec(bench.commands.ignores_term(), job_id="quick"))
        until_ready(spawner, "quick")
        assert promptly(spawner.stop, "quick", grace_seconds=0).state is JobState.CANCELLED
        nothing_left(bench)

    @promise("P8")
    def test_many_stops_at_once(self, bench: Bench, spawner: Spawner) -> None:
        """Several callers may stop a job at once; the outcome is one."""
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only here

        spawner.spawn(bench.spec(bench.commands.ignores_term(), job_id="crowd"))
        until_ready(spawner, "crowd")
        with ThreadPoolExecutor(4) as pool:
            longest = _LONG if "stop.shorter" in spawner.capabilities else 2.0
            graces = [longest, 1.0, 0.5, 1.0]
            stops = [pool.submit(spawner.stop, "crowd", grace_seconds=grace) for grace in graces]
            outcomes = [stop.result(PATIENCE * 2) for stop in stops]
        assert all(outcome == outcomes[0] for outcome in outcomes)
        assert outcomes[0].state is JobState.CANCELLED

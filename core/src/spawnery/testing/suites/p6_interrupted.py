"""P6: spawns that are stopped, cut off or fail in the middle leave nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from spawnery.errors import NameConflict, SpawnerError, SpecConflict
from spawnery.model.outcome import JobState
from spawnery.testing import caller
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    WAKE,
    Suite,
    Timer,
    finished,
    need_faults,
    need_shared,
    nothing_left,
    promptly,
)
from spawnery.testing.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from spawnery.model.job import JobSpec
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_MANY = 50
"""More than core asks again."""


class Interrupted(Suite):
    """A spawn that does not come to its end."""

    @promise("P6")
    def test_a_stop_during_a_step_that_hangs(self, bench: Bench, spawner: Spawner) -> None:
        """A stop ends a spawn in whatever step it hangs; the job never runs, nothing stays."""
        for step, spec in _hanging(bench):
            with ThreadPoolExecutor(1) as pool:
                spawn = pool.submit(spawner.spawn, spec)
                _until_intended(spawner, spec.job_id)
                timer = Timer()
                outcome = promptly(spawner.stop, spec.job_id, grace_seconds=0)
                error = spawn.exception(PATIENCE)
                assert timer.seconds < WAKE, f"{step} heard the stop after {timer.seconds:.1f} s"
            assert outcome.state is JobState.CANCELLED
            assert error is None or getattr(error, "cause", None) == "cancelled", error
            assert bench.runs_of(spec.job_id) == 0
            nothing_left(bench)

    @promise("P6")
    def test_a_stop_from_another_process(self, bench: Bench, spawner: Spawner) -> None:
        """The same, when another process stops the job."""
        need_shared(bench)
        for step, spec in _hanging(bench):
            process = caller.start(bench, caller.plain(spec), "spawn", "wait")
            _until_intended(spawner, spec.job_id)
            timer = Timer()
            outcome = promptly(spawner.stop, spec.job_id, grace_seconds=0)
            results = caller.finish(process)
            assert timer.seconds < WAKE * 2, f"{step} heard the stop after {timer.seconds:.1f} s"
            assert outcome.state is JobState.CANCELLED
            assert results["wait"].get("state") == JobState.CANCELLED, results
            assert bench.runs_of(spec.job_id) == 0
            nothing_left(bench)

    @promise("P1")
    @pytest.mark.parametrize("then", ["spawn", "reap"])
    def test_a_start_that_was_cut_off(self, bench: Bench, then: str) -> None:
        """An object that was made and never ran is started by the next spawn, or removed."""
        port = need_faults(bench, "start")
        at = bench.fault_points["start"]
        spec = bench.spec(bench.counted("cut"), job_id="cut")
        port.arm(Rule(Fault.DROP_BEFORE, method=at.method, path=at.path, times=_MANY))
        with bench.open() as before, pytest.raises(SpawnerError):
            before.spawn(spec)
        port.clear()
        assert bench.runs_of("cut") == 0
        with bench.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as after:
            if then == "spawn":
                assert finished(after, spec).state is JobState.SUCCEEDED
                assert bench.runs_of("cut") == 1
            else:
                after.reap()
            nothing_left(bench)

    @promise("P4")
    @pytest.mark.parametrize("point", ["create", "start"])
    def test_an_error_that_stays(self, bench: Bench, spawner: Spawner, point: str) -> None:
        """When the engine fails each time, its failure is shown, not what our retry ran into.

        Where it has made or started the job all the same, the job runs once.
        """
        port = need_faults(bench, point)
        at = bench.fault_points[point]
        after = Fault.ERROR_500_AFTER if point == "create" else Fault.ERROR_500
        port.arm(Rule(after, method=at.method, path=at.path, times=_MANY))
        spec = bench.spec(bench.counted("fails"), job_id="fails")
        try:
            promptly(spawner.spawn, spec)
        except SpawnerError as error:
            assert not isinstance(error, NameConflict | SpecConflict), error
        else:
            state = spawner.wait("fails", timeout=PATIENCE).state
            assert state is (JobState.SUCCEEDED if bench.runs_of("fails") else JobState.FAILED)
        port.clear()
        assert bench.runs_of("fails") <= 1
        with bench.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as other:

            def reaped() -> bool:
                """Reap has left nothing."""
                other.reap()
                return not bench.objects()

            eventually(reaped)


def _hanging(bench: Bench) -> list[tuple[str, JobSpec]]:
    if not bench.hangs:
        pytest.skip("this bench has no spawn that hangs")
    return [
        (step, bench.spec(bench.counted(f"hang-{step}"), job_id=f"hang-{step}", **fields))
        for step, fields in bench.hangs.items()
    ]


def _until_intended(spawner: Spawner, job_id: str) -> None:
    def intended() -> bool:
        """The job is recorded."""
        return spawner.records.get(job_id) is not None

    eventually(intended)

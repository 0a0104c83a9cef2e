"""Many jobs whose time is over at one moment: no pool waits for itself, and verbs go on."""

from __future__ import annotations

import statistics
import threading
import time

import pytest
from attrs import evolve
from spawnery import JobSpec, JobState, Spawner
from spawnery.contract import hookimpl
from spawnery.records.memory import MemoryRecords
from spawnery.testing.fake import FakeEngine, FakeSpawner, declare

LIMIT = 240
MANY = 500
GRACE = 1.0


class Blocking(FakeSpawner):
    """A spawner whose ``stop`` returns only when all of them were called: a barrier, not luck."""

    barrier: threading.Barrier

    @hookimpl
    def stop(self, request):
        """Wait for the others."""
        self.barrier.wait(LIMIT)
        super().stop(request)


@pytest.mark.timeout(600)
def test_500_deadlines_at_one_moment(fake):
    """Each job ends soon after its grace, also where its program ignores TERM; verbs answer."""
    bench = fake(stop_grace_seconds=GRACE)
    for number in range(MANY):
        words = ("ignore-term", "sleep:900") if number % 2 else ("sleep:900",)
        bench.spawn(*words, job_id=f"j{number}", deadline_seconds=20, retention_seconds=900)
    ended: list[tuple[float, JobState]] = []
    for number in range(MANY):
        began = bench.spawner.on_end(
            f"j{number}", lambda outcome: ended.append((time.monotonic(), outcome.state))
        )
        assert began
    took: list[float] = []
    deadline = time.monotonic() + LIMIT
    while len(ended) < MANY:
        assert time.monotonic() < deadline, f"{len(ended)} of {MANY} ended"
        began_at = time.monotonic()
        bench.spawner.status("j0")
        took.append(time.monotonic() - began_at)
        time.sleep(0.05)
    assert {state for _, state in ended} == {JobState.TIMED_OUT}
    first, last = min(at for at, _ in ended), max(at for at, _ in ended)
    # Generous: a pool that waits for itself needs tens of seconds for each round of its threads.
    assert last - first < 60
    assert statistics.median(took) < 5
    assert len(bench.spawner.list()) == MANY


@pytest.mark.parametrize("count", [40, 100])
def test_stops_that_block_do_not_wait_for_each_other(tmp_path, count):
    """More deadlines than any pool of verbs has threads: every ``stop`` is called at once."""
    Blocking.barrier = threading.Barrier(count)
    engine = FakeEngine()
    plugin = evolve(
        declare(engine),
        create=lambda settings, runtime: Blocking(engine, settings, runtime),
    )
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_INSTANCE": "crowd"}
    with Spawner.open(plugin=plugin, records=MemoryRecords(), environ=environ) as spawner:
        for number in range(count):
            spec = JobSpec(
                job_id=f"j{number}", image="img", command=["sleep:900"], deadline_seconds=3
            )
            spawner.spawn(spec)
        for number in range(count):
            assert spawner.wait(f"j{number}", timeout=LIMIT).state is JobState.TIMED_OUT

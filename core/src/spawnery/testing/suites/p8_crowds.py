"""P8: many deadlines at one moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from spawnery.model.outcome import JobState
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import Suite, Timer, need, nothing_left
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_AT_ONCE = 16


class Crowds(Suite):
    """A crowd of jobs ends in time, and the others are answered meanwhile."""

    @promise("P8")
    def test_many_deadlines_at_one_moment(self, bench: Bench, spawner: Spawner) -> None:
        """Each of a crowd is killed soon after its grace, and list() answers meanwhile."""
        need(spawner, "field.deadline_seconds")
        timer = Timer()
        spawner.spawn(bench.spec(bench.commands.exits(0), job_id="first"))
        until = time.monotonic() + 3 + bench.start_seconds + bench.crowd * timer.seconds * 2
        ids = [f"crowd-{number}" for number in range(bench.crowd)]

        def spawn(number: int) -> None:
            programs = (bench.commands.ignores_term, bench.commands.traps_term)
            left = max(0.5, until - time.monotonic())
            spec = bench.spec(programs[number % 2](), job_id=ids[number], deadline_seconds=left)
            spawner.spawn(spec)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(spawn, range(bench.crowd)))
        end = max(until, time.monotonic()) + 1 + PATIENCE
        slowest, living = 0.0, set(ids)
        while living and time.monotonic() < end:
            began = time.monotonic()
            found = {status.job_id for status in spawner.list() if not status.state.terminal}
            slowest = max(slowest, time.monotonic() - began)
            living &= found
            time.sleep(0.1)
        assert not living, f"{len(living)} of {bench.crowd} outlive their deadlines"
        assert slowest < PATIENCE, f"list() took {slowest:.1f} s meanwhile"
        states = {spawner.wait(job_id, timeout=PATIENCE).state for job_id in ids}
        assert states == {JobState.TIMED_OUT}
        nothing_left(bench)

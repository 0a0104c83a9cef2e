"""P8: deadlines and retention by one clock, however far ours is from the engine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from spawnery.model.outcome import JobState
from spawnery.testing import caller
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import Suite, need, nothing_left
from spawnery.testing.waiting import eventually

if TYPE_CHECKING:
    from spawnery.testing.bench import Bench

_HOUR = 3600.0
AHEAD_AND_BEHIND = pytest.mark.parametrize("ours", [_HOUR, -_HOUR], ids=["ahead", "behind"])


class Clocks(Suite):
    """Our clock is an hour ahead of the engine's, or an hour behind."""

    @promise("P8")
    @AHEAD_AND_BEHIND
    def test_a_deadline_with_another_clock(self, bench: Bench, ours: float) -> None:
        """A deadline that is far away ends nothing, one that is over does."""
        _apart(bench, ours, "field.deadline_seconds")
        far = bench.spec(bench.commands.sleeps(600), job_id="far", deadline_seconds=900)
        near = bench.spec(
            bench.commands.sleeps(600), job_id="near", deadline_seconds=2 + bench.start_seconds
        )
        assert _do(bench, far, "spawn", "reap")["reap"] == [], "killed an hour too early"
        ended = _do(bench, near, "spawn", "wait")["wait"]
        assert (ended["state"], ended["cause"]) == (JobState.TIMED_OUT, "deadline")
        assert _do(bench, far, "status")["status"]["state"] in {JobState.PENDING, JobState.RUNNING}
        stopped = _do(bench, far, "stop")["stop"]
        assert stopped.get("state") == JobState.CANCELLED, stopped

    @promise("P6")
    @AHEAD_AND_BEHIND
    def test_a_retention_with_another_clock(self, bench: Bench, ours: float) -> None:
        """An ended job is kept for its retention, and goes afterwards."""
        _apart(bench, ours, "field.retention_seconds")
        long = bench.spec(bench.commands.exits(0), job_id="long", retention_seconds=900)
        short = bench.spec(bench.commands.exits(0), job_id="short", retention_seconds=1)
        _do(bench, long, "spawn", "wait")
        assert _do(bench, long, "reap")["reap"] == [], "removed an hour too early"
        assert bench.objects()
        _do(bench, short, "spawn", "wait")

        def only_long() -> bool:
            """The job of the short retention has been removed."""
            _do(bench, short, "reap")
            names = {name for name in bench.objects() if "short" in name}
            return not names

        eventually(only_long)
        _do(bench, long, "remove")
        nothing_left(bench)


def _apart(bench: Bench, seconds: float, capability: str) -> None:
    with bench.open() as spawner:
        need(spawner, "clock", capability)
    if not bench.set_clock_ahead(seconds):
        pytest.skip("this bench cannot set our clock apart from the engine's")


def _do(bench: Bench, spec: Any, *verbs: str) -> Mapping[str, Any]:
    """Do these verbs where our clock is off: in another process, where there can be one."""
    if bench.shared:
        return caller.call(bench, caller.plain(spec), *verbs)
    with bench.open() as spawner:
        return dict(caller.results(spawner, spec, verbs))

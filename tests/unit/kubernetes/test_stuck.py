"""Of which jobs events are asked for, and how often."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from spawnery.outcomes import JobState, JobStatus, Outcome
from spawnery_kubernetes.stuck import Rounds

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _status(
    job_id: str, *, state: JobState = JobState.PENDING, age: float | None = 60.0
) -> JobStatus:
    return JobStatus(
        job_id=job_id,
        name=job_id,
        engine_id=f"uid-{job_id}",
        state=state,
        accepted_at=None if age is None else NOW - timedelta(seconds=age),
        outcome=Outcome(state=state, cause="exit.zero") if state.terminal else None,
    )


def test_only_jobs_that_stand_still() -> None:
    """Neither jobs that run, are queued or have ended, nor those that have just been accepted."""
    statuses = [
        _status("stuck"),
        _status("new", age=0.5),
        _status("unknown", age=None),
        _status("runs", state=JobState.RUNNING),
        _status("queued", state=JobState.QUEUED),
        _status("over", state=JobState.SUCCEEDED),
    ]
    assert Rounds().due(statuses, NOW) == ["uid-stuck"]


def test_not_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is asked for again and again, more and more rarely, but at least once a minute."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    rounds = Rounds()
    asked = []
    for second in range(600):
        clock[0] = 1000.0 + second
        if rounds.due([_status("stuck")], NOW):
            asked.append(second)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert asked[0] == 0
    assert pauses == sorted(pauses)
    assert min(pauses) >= 5
    assert max(pauses) == 60


def test_a_job_that_moved_is_new_again() -> None:
    """Of a job that got on and stands still again is asked at once."""
    rounds = Rounds()
    assert rounds.due([_status("a")], NOW) == ["uid-a"]
    assert rounds.due([_status("a")], NOW) == []
    assert rounds.due([_status("a", state=JobState.RUNNING)], NOW) == []
    assert rounds.due([_status("a")], NOW) == ["uid-a"]

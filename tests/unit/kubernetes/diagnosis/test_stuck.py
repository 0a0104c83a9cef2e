"""Of which jobs events are asked for, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from spawnery.model import JobState, JobStatus, Outcome
from spawnery_kubernetes.informer.events import Rounds


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the rounds."""
    made = Clock()
    monkeypatch.setattr("time.monotonic", lambda: made.now)
    return made


def _status(job_id: str, *, state: JobState = JobState.PENDING) -> JobStatus:
    return JobStatus(
        job_id=job_id,
        name=job_id,
        engine_id=f"uid-{job_id}",
        state=state,
        outcome=Outcome(state=state, cause="exit.zero") if state.terminal else None,
    )


def test_only_jobs_that_stand_still(clock: Clock) -> None:
    """Neither jobs that run, are queued or have ended, nor those that have just come."""
    statuses = [
        _status("stuck"),
        _status("runs", state=JobState.RUNNING),
        _status("queued", state=JobState.QUEUED),
        _status("over", state=JobState.SUCCEEDED),
    ]
    rounds = Rounds()
    assert rounds.due(statuses) == []
    clock.now += 2
    assert rounds.due([*statuses, _status("new")]) == ["uid-stuck"]


def test_again_within_seconds(clock: Clock) -> None:
    """A job is asked for every few seconds, however long it waits."""
    rounds, asked = Rounds(), []
    for second in range(600):
        clock.now = 1000.0 + second
        if rounds.due([_status("stuck")]):
            asked.append(second)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert asked[0] <= 3
    assert 2 <= min(pauses) <= max(pauses) <= 4


def test_very_many_jobs_that_wait(clock: Clock) -> None:
    """The cluster is not asked more often than so many times a second, by however many."""
    rounds, asked = Rounds(), 0
    statuses = [_status(f"j{number}") for number in range(1000)]
    for second in range(1000):
        clock.now = 1000.0 + second
        asked += len(rounds.due(statuses))
    assert 6000 <= asked <= 10_000


def test_a_job_that_moved_is_new_again(clock: Clock) -> None:
    """A job that got on and stands still again is not asked for at once."""
    rounds = Rounds()
    rounds.due([_status("a")])
    clock.now += 2
    assert rounds.due([_status("a")]) == ["uid-a"]
    assert rounds.due([_status("a")]) == []
    clock.now += 10
    assert rounds.due([_status("a", state=JobState.RUNNING)]) == []
    assert rounds.due([_status("a")]) == []
    clock.now += 2
    assert rounds.due([_status("a")]) == ["uid-a"]

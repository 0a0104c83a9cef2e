"""What the reaper decides, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobState, JobStatus, Outcome
from spawnery.contract import Kill, Record
from spawnery.contract.engine_clock import TimeRange
from spawnery.lifecycle.decisions.policy import Present, decide
from spawnery.model import KillReason

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def at(moment, error=0):
    """Return a present: the engine's clock is known but for some seconds."""
    slack = timedelta(seconds=error)
    return Present(engine=TimeRange(moment - slack, moment + slack), ours=moment)


def judged(record, status, *, now=NOW, held=False):
    """Decide with a grace of a minute."""
    return decide(record, status, now=at(now), held=lambda: held, grace_seconds=60)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


DONE = Outcome(state=JobState.SUCCEEDED, cause="exit.zero", exit_code=0, finished_at=ago(100))
INTENT = Record(job_id="a", name="p-a", spec_hash="h", intended_at=ago(5))
MADE = evolve(INTENT, created_at=ago(5), engine_id="e")
ENDED = evolve(MADE, outcome=DONE, ended_at=ago(100), expires_at=NOW + timedelta(days=1))
RUNS = JobStatus(job_id="a", state=JobState.RUNNING, name="p-a", accepted_at=ago(50))
WAITS = evolve(RUNS, state=JobState.PENDING)
OVER = JobStatus(job_id="a", state=JobState.SUCCEEDED, name="p-a", outcome=DONE)
UNDATED = evolve(OVER, outcome=evolve(DONE, finished_at=None))
ORPHAN = evolve(WAITS, launched=False)

TABLE = [
    # record, status, held, action, part of the reason
    (None, None, False, "keep", "neither"),
    # an object that has ended
    (None, OVER, False, "finish", "nobody recorded"),
    (MADE, OVER, False, "finish", "nobody recorded"),
    (MADE, OVER, True, "finish", "nobody recorded"),
    (ENDED, OVER, False, "remove", "retention is over"),
    (ENDED, OVER, True, "keep", "still reads"),
    (ENDED, evolve(OVER, retention_seconds=99), False, "remove", "retention"),
    (ENDED, evolve(OVER, retention_seconds=160), False, "keep", "60 s longer"),
    (MADE, evolve(OVER, retention_seconds=160), False, "finish", "nobody recorded"),
    # the record knows the retention, whatever the engine gives back
    (evolve(ENDED, retention_seconds=160), OVER, False, "keep", "60 s longer"),
    (evolve(ENDED, retention_seconds=99), OVER, False, "remove", "retention is over"),
    (ENDED, UNDATED, False, "remove", "retention"),
    (ENDED, evolve(UNDATED, retention_seconds=160), False, "keep", "60 s longer"),
    # an object that runs
    (None, RUNS, False, "keep", "RUNNING"),
    (MADE, RUNS, False, "keep", "RUNNING"),
    (MADE, RUNS, True, "keep", "RUNNING"),
    (ENDED, RUNS, False, "stop", "still runs"),
    (ENDED, RUNS, True, "stop", "still runs"),
    (MADE, evolve(RUNS, deadline_seconds=49), False, "stop", "deadline of 49 s"),
    (None, evolve(RUNS, deadline_seconds=49), False, "stop", "deadline of 49 s"),
    (MADE, evolve(RUNS, deadline_seconds=51), False, "keep", "RUNNING"),
    (MADE, evolve(RUNS, start_deadline_seconds=1), False, "keep", "RUNNING"),
    # an object that waits
    (MADE, WAITS, False, "keep", "PENDING"),
    (MADE, evolve(WAITS, start_deadline_seconds=49), False, "stop", "not started within 49 s"),
    (MADE, evolve(WAITS, start_deadline_seconds=51), False, "keep", "PENDING"),
    (MADE, evolve(WAITS, deadline_seconds=49), False, "stop", "deadline"),
    (MADE, evolve(WAITS, fatal=True), False, "stop", "never start"),
    (MADE, evolve(WAITS, fatal=True, message="no such image"), False, "stop", "no such image"),
    (
        MADE,
        evolve(WAITS, state=JobState.QUEUED, deadline_seconds=1, start_deadline_seconds=1),
        False,
        "keep",
        "QUEUED",
    ),
    # an object that was made and never started
    (INTENT, ORPHAN, False, "keep", "50 s ago, not started"),
    (INTENT, evolve(ORPHAN, accepted_at=ago(61)), False, "remove", "never started"),
    (INTENT, evolve(ORPHAN, accepted_at=ago(61)), True, "keep", "about to start"),
    (None, evolve(ORPHAN, accepted_at=ago(61)), False, "remove", "never started"),
    (None, evolve(ORPHAN, accepted_at=None), False, "remove", "never started"),
    # a record alone
    (ENDED, None, False, "keep", "keeps its id"),
    (evolve(ENDED, expires_at=NOW), None, False, "forget", "long ago"),
    (evolve(ENDED, expires_at=NOW), None, True, "forget", "long ago"),
    (evolve(ENDED, expires_at=None), None, False, "keep", "keeps its id"),
    (MADE, None, False, "finish", "gone"),
    (MADE, None, True, "keep", "living process"),
    (evolve(INTENT, kill=Kill(reason=KillReason.STOP, at=NOW)), None, False, "finish", "gone"),
    (INTENT, None, False, "keep", "5 s ago"),
    (evolve(INTENT, intended_at=ago(61)), None, False, "drop", "never reached"),
    (evolve(INTENT, intended_at=ago(61)), None, True, "keep", "living process"),
]


@pytest.mark.parametrize(
    ("record", "status", "held", "action", "reason"),
    TABLE,
    ids=[f"{number}-{row[3]}" for number, row in enumerate(TABLE)],
)
def test_decision(record, status, held, action, reason):
    """Each situation has its decision, and the reason says why."""
    found = judged(record, status, held=held)
    assert found.action == action
    assert reason in found.reason


@given(st.sampled_from(TABLE), st.integers(0, 10_000))
def test_time_alone_never_kills_without_a_deadline(row, seconds):
    """A running job without a deadline is never touched, however long it runs."""
    record, status, held, _, _ = row
    if status is None or status.outcome is not None or not status.launched or status.fatal:
        return
    free = evolve(status, deadline_seconds=None, start_deadline_seconds=None)
    if record is not None and record.outcome is not None:
        return
    later = NOW + timedelta(seconds=seconds)
    assert judged(record, free, now=later, held=held).action == "keep"


@given(st.sampled_from(TABLE), st.integers(0, 10_000_000))
def test_what_is_held_is_never_taken_away(row, seconds):
    """While a living process holds a job, neither its unstarted object nor its intent goes."""
    record, status, _, _, _ = row
    later = NOW + timedelta(seconds=seconds)
    assert judged(record, status, now=later, held=True).action not in {"remove", "drop"}


@pytest.mark.parametrize(
    ("status", "error", "action"),
    [
        (evolve(RUNS, deadline_seconds=45), 4, "stop"),
        (evolve(RUNS, deadline_seconds=45), 6, "keep"),
        (evolve(WAITS, start_deadline_seconds=45), 6, "keep"),
        (evolve(ORPHAN, accepted_at=ago(65)), 4, "remove"),
        (evolve(ORPHAN, accepted_at=ago(65)), 6, "keep"),
    ],
)
def test_nothing_is_decided_within_the_error_of_the_clock(status, error, action):
    """A limit is over only when it is by every time that the engine's clock may show."""
    now = at(NOW, error)
    found = decide(MADE, status, now=now, held=lambda: False, grace_seconds=60)
    assert found.action == action


@pytest.mark.parametrize("status", [evolve(RUNS, deadline_seconds=1), ORPHAN])
def test_nothing_is_decided_before_the_clock_is_known(status):
    """A spawner that measures the engine's clock has not read it yet."""
    now = Present(engine=None, ours=NOW)
    found = decide(MADE, status, now=now, held=lambda: False, grace_seconds=1)
    assert found.action == "keep"


def test_retention_by_our_own_clock_where_the_engines_is_unknown():
    """When we recorded the end, and now: two times of one clock."""
    now = Present(engine=None, ours=NOW)
    for retention, action in ((99, "remove"), (101, "keep")):
        record = evolve(ENDED, retention_seconds=retention)
        assert decide(record, OVER, now=now, held=lambda: False, grace_seconds=1).action == action


@pytest.mark.parametrize("ended", [NOW, NOW + timedelta(seconds=1)])
def test_no_retention_needs_no_clock(ended):
    """What is to go at once goes also while the engine's clock may not have come that far."""
    status = evolve(OVER, outcome=evolve(DONE, finished_at=ended))
    for now in (at(NOW, error=5), Present(engine=None, ours=NOW)):
        record = evolve(ENDED, ended_at=NOW)
        found = decide(record, status, now=now, held=lambda: False, grace_seconds=60)
        assert found.action == "remove"

"""What is to be done with a job now, from its record and its object: pure, for upkeep and reaper.

Times of the engine are compared with the engine's present, which is an interval: what lies inside
of it is not decided yet. Times of records are of our own clock and compared with that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import frozen

from spawnery.contract.engine_clock import TimeRange
from spawnery.contract.records import Record
from spawnery.model.outcome import JobState, JobStatus, KillReason


class Action(enum.StrEnum):
    """What is done with a job."""

    FINISH = "finish"
    """Record its outcome."""
    STOP = "stop"
    REMOVE = "remove"
    """Remove its object."""
    DROP = "drop"
    """Delete an intent that never reached the engine."""
    FORGET = "forget"
    """Delete an old record."""
    KEEP = "keep"


@frozen
class Verdict:
    """An action with its reason.

    Attributes:
        action: What is to be done.
        reason: Why, for a person.
        kill: For ``STOP``: what is recorded as the reason.
    """

    action: Action
    reason: str
    kill: KillReason | None = None


@frozen(kw_only=True)
class Present:
    """The moment at which something is decided.

    Attributes:
        engine: The engine's present; None while it is not known.
        ours: Our own wall clock.
    """

    engine: TimeRange | None
    ours: datetime


def decide(
    record: Record | None,
    status: JobStatus | None,
    *,
    now: Present,
    held: Callable[[], bool],
    grace_seconds: float,
    slack: float = 0.0,
) -> Verdict:
    """Decide on one job.

    Args:
        record: What is remembered of it.
        status: Its object in the engine.
        now: The present.
        held: Tells whether a living process holds the job; asked only where it matters.
        grace_seconds: How long something unfinished is left to whoever made it.
        slack: How long, in seconds, an engine that keeps deadlines itself may be late.
    """
    if status is not None:
        return _decide_object(
            record, status, now=now, held=held, grace_seconds=grace_seconds, slack=slack
        )
    if record is None:
        return Verdict(Action.KEEP, "neither object nor record")
    return _decide_record(record, now=now, held=held, grace_seconds=grace_seconds)


def _decide_object(
    record: Record | None,
    status: JobStatus,
    *,
    now: Present,
    held: Callable[[], bool],
    grace_seconds: float,
    slack: float,
) -> Verdict:
    recorded = record is not None and record.outcome is not None
    if status.outcome is not None:
        if record is None or not recorded:
            return Verdict(Action.FINISH, f"it ended ({status.state}) and nobody recorded it")
        return _decide_ended(record, status, now=now, held=held)
    if recorded:
        reason = "its outcome is recorded, and it still runs"
        return Verdict(Action.STOP, reason, KillReason.STOP)
    why = overdue(status, now.engine, slack=slack)
    if why is not None:
        return Verdict(Action.STOP, _reason(status, why), why)
    if not status.launched:
        return _decide_orphan(status, now=now, held=held, grace_seconds=grace_seconds)
    return Verdict(Action.KEEP, f"it is {status.state}")


def overdue(status: JobStatus, now: TimeRange | None, *, slack: float = 0.0) -> KillReason | None:
    """Tell which limit of a job is over.

    QUEUED does not count: the clock starts when the engine accepts the job.
    """
    if status.state.terminal or status.state is JobState.QUEUED:
        return None
    if status.fatal:
        return KillReason.HOPELESS
    if status.accepted_at is None or now is None:
        return None
    age = (now.earliest - status.accepted_at).total_seconds()
    if status.deadline_seconds is not None and age > status.deadline_seconds + slack:
        return KillReason.DEADLINE
    waiting = status.state is JobState.PENDING and status.start_deadline_seconds is not None
    if waiting and age > (status.start_deadline_seconds or 0):
        return KillReason.START_DEADLINE
    return None


def _reason(status: JobStatus, why: KillReason) -> str:
    if why is KillReason.DEADLINE:
        return f"past its deadline of {status.deadline_seconds:g} s"
    if why is KillReason.START_DEADLINE:
        return f"not started within {status.start_deadline_seconds:g} s"
    return status.message or "it can never start"


def kept_seconds(record: Record, status: JobStatus, now: Present) -> float:
    """Return for how many seconds more an ended job's object is kept; 0 or less: it is to go.

    The retention is the record's: an engine need not give it back. It counts from the end by the
    engine's clock; where that is not known, from when the end was recorded by ours (another
    process, with another clock, may have recorded it).
    """
    retention = timedelta(seconds=record.retention_seconds or status.retention_seconds or 0)
    if not retention:
        return 0.0  # at once: that needs no clock
    ended_at = status.ended_at
    if ended_at is None and status.outcome is not None:
        ended_at = status.outcome.finished_at
    if ended_at is not None and now.engine is not None:
        return (ended_at - now.engine.earliest + retention).total_seconds()
    if record.ended_at is not None:
        return (record.ended_at - now.ours + retention).total_seconds()
    return float("inf")


def _decide_ended(
    record: Record, status: JobStatus, *, now: Present, held: Callable[[], bool]
) -> Verdict:
    left = kept_seconds(record, status, now)
    if left > 0:
        return Verdict(Action.KEEP, f"ended, kept {left:.0f} s longer")
    if held():
        return Verdict(Action.KEEP, "ended, and a living process still reads it")
    return Verdict(Action.REMOVE, "ended, recorded, and its retention is over")


def _decide_orphan(
    status: JobStatus, *, now: Present, held: Callable[[], bool], grace_seconds: float
) -> Verdict:
    if now.engine is None:
        return Verdict(Action.KEEP, "not started yet, and the engine's clock is not known")
    age = max(0.0, _age(status.accepted_at, now.engine.earliest))
    if age < grace_seconds:
        return Verdict(Action.KEEP, f"created {age:.0f} s ago, not started yet")
    if held():
        return Verdict(Action.KEEP, "a living process is about to start it")
    return Verdict(Action.REMOVE, f"created {age:.0f} s ago and never started")


def _decide_record(
    record: Record, *, now: Present, held: Callable[[], bool], grace_seconds: float
) -> Verdict:
    if record.outcome is not None:
        if record.expires_at is not None and record.expires_at <= now.ours:
            return Verdict(Action.FORGET, "ended long ago")
        return Verdict(Action.KEEP, "ended; the record keeps its id")
    if held():
        return Verdict(Action.KEEP, "a living process holds it")
    if record.created_at is not None or record.kill is not None:
        return Verdict(Action.FINISH, "its object is gone and nobody recorded its end")
    age = _age(record.intended_at, now.ours)
    if age < grace_seconds:
        return Verdict(Action.KEEP, f"wanted {age:.0f} s ago, not in the engine yet")
    return Verdict(Action.DROP, f"wanted {age:.0f} s ago and never reached the engine")


def _age(since: datetime | None, now: datetime) -> float:
    return float("inf") if since is None else (now - since).total_seconds()

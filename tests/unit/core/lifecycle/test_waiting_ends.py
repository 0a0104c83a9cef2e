"""The end of a job that never started says what it was waiting for, whoever ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from spawnery import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Fake

WAITS = {"pending_cause": "unschedulable", "pending_message": "no node has enough memory"}


@pytest.mark.parametrize("where", [{"slow_start_seconds": 600.0}, {"queued_seconds": 600.0}])
def test_a_stop_tells_what_it_waited_for(fake: Callable[..., Fake], where: dict[str, float]):
    """A stopped job that was PENDING or QUEUED is CANCELLED, with the engine's reason."""
    case = fake()
    job_id = case.spawn("true", fake={**WAITS, **where}).job_id
    outcome = case.spawner.stop(job_id)
    assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
    assert outcome.message.endswith("before it started: no node has enough memory")


def test_the_hint_of_the_end_can_be_followed(fake: Callable[..., Fake]):
    """A command about the job's object is of no use once the stop has removed that."""
    case = fake()
    look = "look at it: engine describe agentsmith-stuck"
    slow = {**WAITS, "slow_start_seconds": 600.0, "pending_hint": f"{look}\nask for less"}
    job_id = case.spawn("true", fake=slow, job_id="stuck").job_id
    assert case.spawner.status(job_id).hint == f"{look}\nask for less"
    assert case.spawner.stop(job_id).hint == "ask for less"


def test_a_deadline_tells_what_it_waited_for(fake: Callable[..., Fake]):
    """A job that never started within its deadline is TIMED_OUT, with the engine's reason."""
    case = fake()
    slow = {**WAITS, "slow_start_seconds": 600.0}
    job_id = case.spawn("true", fake=slow, deadline_seconds=0.3).job_id
    outcome = case.spawner.wait(job_id, timeout=60)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    assert "before it started: no node has enough memory" in outcome.message


def test_a_running_job_waits_for_nothing(fake: Callable[..., Fake]):
    """A job that was stopped while it ran does not tell what it waited for before."""
    case = fake()
    job_id = case.spawn("sleep:600", fake=WAITS).job_id
    while case.spawner.status(job_id).state is not JobState.RUNNING:
        pass
    assert "no node" not in case.spawner.stop(job_id, grace_seconds=0).message

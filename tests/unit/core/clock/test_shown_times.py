"""Times that are shown are all of one clock, the engine's: also of jobs that only we remember."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from spawnery.testing.fake import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Fake

HOUR = 3600
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_the_age_of_a_job_is_small(fake: Callable[..., Fake], shift: int) -> None:
    """A job that was just made is new, running, ended or remembered, on an engine an hour away."""
    case = fake(engine=FakeEngine(clock=lambda: time.time() + shift))
    running = case.spawn("sleep:600", retention_seconds=600).job_id
    ended = case.spawn("print:hi", retention_seconds=600).job_id
    gone = case.spawn("print:hi").job_id
    for job_id in (ended, gone):
        case.spawner.wait(job_id, timeout=60)
    statuses = {status.job_id: status for status in case.spawner.list()}
    assert set(statuses) == {running, ended, gone}
    for job_id, listed in statuses.items():
        for status in (listed, case.spawner.status(job_id)):
            assert status.accepted_at is not None
            assert abs(case.spawner.engine_now() - status.accepted_at) < MINUTE
            outcome = status.outcome
            if outcome is not None and outcome.finished_at is not None:
                assert abs(case.spawner.engine_now() - outcome.finished_at) < MINUTE

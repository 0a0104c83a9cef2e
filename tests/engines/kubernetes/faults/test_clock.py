"""Times are those of the API server; our own clock and that of the node decide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kube_bare import Bare
from kube_case import KubeCase, eventually
from spawnery.contract.declaration import Clock
from spawnery.model import JobState

pytestmark = pytest.mark.engine("kubernetes")


@pytest.fixture(params=[3600, -3600], ids=["ahead", "behind"])
def shifted(case: KubeCase, request: pytest.FixtureRequest) -> Iterator[Bare]:
    """A spawner whose own clock is wrong by an hour."""
    off = timedelta(seconds=request.param)
    made = Bare(case, runtime={"clock": Clock(now=lambda: datetime.now(UTC) + off)})
    yield made
    made.spawner.close()


def test_each_answer_says_the_time(shifted: Bare) -> None:
    """The API server's clock is known from the first answer on, to about a second."""
    shifted.spawner.list_jobs()
    assert shifted.clock.measured
    now = shifted.clock.now()
    assert now is not None
    assert (now.latest - now.earliest).total_seconds() < 2
    assert abs(now.middle - datetime.now(UTC)) < timedelta(seconds=30)


def test_one_status_has_one_clock(shifted: Bare) -> None:
    """When a job was accepted and when it ended are times of the API server, in this order."""
    before = datetime.now(UTC) - timedelta(seconds=2)
    shifted.spawner.spawn(shifted.asked("sleep 1"))
    status = shifted.reaches(JobState.SUCCEEDED)
    made = shifted.case.job("one")["metadata"]["creationTimestamp"]
    assert status.accepted_at == datetime.fromisoformat(made)
    assert status.ended_at is not None
    assert before < status.accepted_at <= status.ended_at < datetime.now(UTC) + timedelta(seconds=2)


def test_a_wait_is_measured_by_the_cluster(shifted: Bare) -> None:
    """A pull that may be tried for two minutes is not given up in its first seconds by a clock
    that is ahead."""
    shifted.spawner.spawn(shifted.asked("true", image="127.0.0.1:9/none:1"))

    def waits() -> Any:
        status = shifted.status()
        return status if (status.cause or "").startswith(("image.", "engine.")) else None

    status = eventually(waits)
    assert (status.state, status.fatal) == (JobState.PENDING, False)


def test_a_job_that_was_held_back_is_accepted_later(shifted: Bare) -> None:
    """The clock of a suspended Job starts when it is resumed, by the API server's time."""
    shifted.spawner.spawn(shifted.asked("sleep 600"))
    name = ("job", shifted.case.name("one"), "-n", shifted.case.namespace)
    shifted.case.kubectl("patch", *name, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    shifted.reaches(JobState.QUEUED)
    first = shifted.status().accepted_at
    eventually(lambda: datetime.now(UTC) - (first or datetime.now(UTC)) > timedelta(seconds=3))
    resumed = datetime.now(UTC)
    shifted.case.kubectl("patch", *name, "--type=merge", "-p", '{"spec": {"suspend": false}}')
    accepted = shifted.reaches(JobState.RUNNING).accepted_at
    assert accepted is not None
    assert abs(accepted - resumed) < timedelta(seconds=3)

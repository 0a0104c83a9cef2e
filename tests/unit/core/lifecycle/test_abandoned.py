"""An object that a spawn made and removed again was no job, whatever late events say of it."""

from __future__ import annotations

import pytest
from attrs import evolve
from spawnery import JobSpec, JobState, Outcome, Spawner
from spawnery.errors import JobNotFound, SpawnerError, StateError
from spawnery.model import JobStatus
from spawnery.testing import fake


@pytest.fixture
def spawner(tmp_path):
    """The fake spawner."""
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_INSTANCE": "abandoned"}
    with Spawner.open(plugin=fake.plugin, environ=environ) as found:
        yield found


def test_a_late_end_of_a_withdrawn_spawn_is_nothing(spawner, monkeypatch):
    """It makes no record, so the id is free and the next spawn runs the job."""
    made = []

    def full(_job_id, *, engine_id, **_more):
        made.append(engine_id)
        msg = "no record can be written"
        raise StateError(msg)

    spec = JobSpec(job_id="late", command=("true",))
    with monkeypatch.context() as patched:
        patched.setattr(spawner.records, "created", full)
        with pytest.raises(SpawnerError):
            spawner.spawn(spec)
    assert made
    gone = JobStatus(
        job_id="late",
        state=JobState.FAILED,
        name="agentsmith-late",
        engine_id=made[0],
        outcome=Outcome(state=JobState.FAILED, cause="killed.external"),
    )
    spawner._tracker.on_seen(gone)
    spawner._tracker.on_seen(evolve(gone, state=JobState.RUNNING, outcome=None))
    assert spawner.records.get("late") is None
    with pytest.raises(JobNotFound):
        spawner.status("late")
    spawner.spawn(spec)
    assert spawner.wait("late", timeout=60).state is JobState.SUCCEEDED

"""A list that is older than the end of a job does not bring it back to life."""

from __future__ import annotations

from attrs import evolve
from spawnery import JobSpec, Spawner
from spawnery.model import JobState


def test_a_list_that_is_older_than_the_end(tmp_path):
    """A job that has ended and is gone is not told as running by a list that was under way."""
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)}
    with Spawner.open("fake", environ=environ) as spawner:
        spec = JobSpec(command=["exit:0"])
        spawner.spawn(spec)
        outcome = spawner.wait(spec.job_id, timeout=30)
        ended = spawner.status(spec.job_id)
        tracker = spawner._tracker
        tracker.on_gone(spec.job_id)
        told = []
        tracker.listen(told.append)
        tracker.on_seen(evolve(ended, state=JobState.RUNNING, outcome=None))
        assert spec.job_id not in tracker.live
        assert not told
        assert spawner.status(spec.job_id).outcome == outcome

"""The watch of the local engine, look by look."""

from __future__ import annotations

import os
import sys

from spawnery import JobSpec, JobState, Spawner
from spawnery.local.watch import _Watching
from spawnery.outcomes import JobGone, JobSeen


def test_a_job_that_ends_and_goes_between_two_looks_is_told_of(tmp_path):
    """Whoever looks too late hears how it ended, once, and then that it is gone."""
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    with Spawner.open("local", environ=environ) as spawner:
        engine = spawner._parts.spawner
        watching = _Watching(engine._lifecycle, engine._store)
        assert watching._look() == []
        spec = JobSpec(job_id="quick", command=[sys.executable, "-c", ""], retention_seconds=60)
        spawner.spawn(spec)
        spawner.wait("quick")
        spawner.remove("quick")
        seen, gone = [*watching._look(), *watching._look()]
        assert isinstance(seen, JobSeen)
        assert seen.status.state is JobState.SUCCEEDED
        assert isinstance(gone, JobGone)
        assert gone.job_id == "quick"
        spawner.spawn(spec)
        spawner.wait("quick")
        assert [event.status.state for event in watching._look()] == [JobState.SUCCEEDED]
        spawner.remove("quick")
        assert watching._look() == [JobGone(job_id="quick")]

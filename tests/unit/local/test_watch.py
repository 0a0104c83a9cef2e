"""The watch of the local engine, look by look."""

from __future__ import annotations

import os
import shutil
import sys

from spawnery import JobSpec, JobState, Spawner
from spawnery.local.watch import _Watching
from spawnery.model import JobGone, JobSeen


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
        again = spawner.spawn(spec)
        spawner.wait("quick")
        assert [event.status.state for event in watching._look()] == [JobState.SUCCEEDED]
        spawner.remove("quick")
        (gone,) = watching._look()
        assert (gone.job_id, gone.engine_id) == ("quick", again.engine_id)


def test_a_job_that_came_and_vanished_between_two_looks_is_told_of(tmp_path):
    """Whoever was told of it by another hook hears that it is gone."""
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    with Spawner.open("local", environ=environ) as spawner:
        engine = spawner._parts.spawner
        watching = _Watching(engine._lifecycle, engine._store)
        handle = spawner.spawn(JobSpec(job_id="brief", command=[sys.executable, "-c", ""]))
        status = spawner.wait("brief")
        assert status.state is JobState.SUCCEEDED
        shutil.rmtree(engine._store.jobs / handle.name, ignore_errors=True)
        gone = [event for event in watching._look() if isinstance(event, JobGone)]
        assert [(event.job_id, event.engine_id) for event in gone] == [("brief", handle.engine_id)]
        assert watching._look() == []

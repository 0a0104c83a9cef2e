"""A damaged file under a running job, through the facade: nothing is judged by it."""

from __future__ import annotations

import os

import pytest
from spawnery.errors import StateError
from spawnery.local.system import files
from spawnery.model import JobSpec, JobState
from spawnery.spawner import Spawner

LIMIT = 60.0


@pytest.mark.parametrize("name", [files.JOB, files.STARTED, files.EXIT, files.STOP])
def test_a_running_job_with_a_damaged_file_is_not_lost(tmp_path, name, caplog):
    """Each verb says which file; reap records no end; told once in the log; mended, it goes on."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SPAWNERY_STATE_DIR": str(tmp_path / "state"),
        "SPAWNERY_SETTLE_SECONDS": "0.1",
    }
    with Spawner.open("local", environ=environ) as spawner:
        spawner.spawn(JobSpec(job_id="bad", command=("sleep", "600")))
    path = tmp_path / "state" / "local" / "jobs" / "agentsmith-bad" / name
    kept = path.read_bytes() if path.exists() else None
    path.write_bytes(b"{\xff")
    try:
        with Spawner.open("local", environ=environ) as spawner:
            for verb in (spawner.status, spawner.stop, spawner.remove):
                with pytest.raises(StateError) as caught:
                    verb("bad")
                assert caught.value.cause == "state.corrupt"
                assert str(path) in caught.value.message
            (decision,) = spawner.reap()
            assert not decision.done
            assert str(path) in (decision.error or "")
            spawner.list()
            spawner.spawn(JobSpec(job_id="good", command=("true",)))
            assert spawner.wait("good", timeout=LIMIT).state is JobState.SUCCEEDED
            assert spawner.records.get("bad").outcome is None
        told = [line for line in caplog.messages if line.startswith("the file")]
        assert len(told) == len(set(told))
    finally:
        path.write_bytes(kept) if kept is not None else path.unlink()
    with Spawner.open("local", environ=environ) as spawner:
        assert spawner.status("bad").state is JobState.RUNNING
        assert spawner.stop("bad", grace_seconds=0).state is JobState.CANCELLED

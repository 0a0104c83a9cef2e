"""An engine that was restored from a backup: records are newer than what it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_case import eventually, running
from docker_jobs import PATIENCE, environ_of, shell
from private_docker import PrivateDocker
from spawnery.model import JobState
from spawnery.spawner import Spawner

pytestmark = [pytest.mark.engine("docker"), pytest.mark.timeout(240)]


@pytest.fixture
def engine() -> Iterator[PrivateDocker]:
    """A daemon of the test's own."""
    with PrivateDocker() as engine:
        yield engine


def test_jobs_over_a_restore(engine: PrivateDocker, tmp_path: Path) -> None:
    """What ended keeps its outcome, what is absent is LOST; nothing runs twice or succeeds."""
    environ = environ_of(tmp_path, engine.address)
    specs = {
        "ended-before": shell("exit 3", job_id="ended-before", retention_seconds=600),
        "ran-at-backup": shell("sleep 600", job_id="ran-at-backup", retention_seconds=600),
        "ended-after": shell("exit 4", job_id="ended-after", retention_seconds=600),
        "ran-after": shell("sleep 600", job_id="ran-after", retention_seconds=600),
    }
    with Spawner.open(environ=environ) as spawner:
        spawner.spawn(specs["ended-before"])
        assert spawner.wait("ended-before", PATIENCE).exit_code == 3
        spawner.spawn(specs["ran-at-backup"])
        running(spawner, "ran-at-backup")
        engine.backup()
        spawner.spawn(specs["ended-after"])
        assert spawner.wait("ended-after", PATIENCE).exit_code == 4
        spawner.spawn(specs["ran-after"])
        running(spawner, "ran-after")
        engine.restore()
        lost = spawner.wait("ran-after", PATIENCE)
        assert (lost.state, lost.cause) == (JobState.LOST, "lost.missing")
        ended = spawner.wait("ran-at-backup", PATIENCE)
        assert ended.state in {JobState.FAILED, JobState.LOST}
        assert ended.cause != "lost.missing"
        for job_id, spec in specs.items():
            assert not spawner.spawn(spec).created, job_id
    with Spawner.open(environ=environ) as other:
        found = {job_id: other.wait(job_id, PATIENCE) for job_id in specs}
    assert found["ran-after"] == lost
    assert found["ran-at-backup"] == ended
    assert (found["ended-before"].exit_code, found["ended-after"].exit_code) == (3, 4)
    assert len(engine.containers()) == 2


def test_a_removed_job_that_comes_back(engine: PrivateDocker, tmp_path: Path) -> None:
    """The container of a job that was removed after the backup is no job; it is removed again."""
    environ = environ_of(tmp_path, engine.address)
    spec = shell("exit 5", job_id="removed", retention_seconds=5)
    with Spawner.open(environ=environ) as spawner:
        spawner.spawn(spec)
        assert spawner.wait("removed", PATIENCE).exit_code == 5
        engine.backup()
        spawner.remove("removed")
        engine.restore()
        assert engine.containers()
        eventually(lambda: spawner.reap() is not None and not engine.containers())

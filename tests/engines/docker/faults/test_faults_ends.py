"""Jobs that end in ways nobody asked for: other people, dead witnesses, full disks."""

from __future__ import annotations

import pytest
from docker_case import eventually
from docker_images import make_busybox
from docker_jobs import PATIENCE, docker, open_spawner, shell
from private_docker import PrivateDocker, let_end
from spawnery.errors import SpawnerError
from spawnery.model import JobState

pytestmark = [pytest.mark.engine("docker"), pytest.mark.timeout(240)]


@pytest.fixture(scope="session", autouse=True)
def image(docker_socket):
    make_busybox(f"unix://{docker_socket}")


@pytest.fixture
def spawner(docker_socket, tmp_path):
    with open_spawner(tmp_path, docker_socket) as spawner:
        yield spawner
        for status in spawner.list():
            if status.outcome is None or status.retention_seconds:
                spawner.remove(status.job_id, force=True)


@pytest.mark.parametrize("retention", [0, 600])
@pytest.mark.parametrize("how", [("rm", "-f"), ("kill",)])
def test_somebody_else_ends_it(spawner, docker_socket, retention, how):
    """A container that somebody else kills or removes is told as such, never as a success."""
    handle = spawner.spawn(shell("sleep 600", retention_seconds=retention))
    eventually(lambda: spawner.status(handle.job_id).state is JobState.RUNNING)
    docker(docker_socket, *how, handle.name)
    outcome = spawner.wait(handle.job_id, PATIENCE)
    assert outcome.state in {JobState.FAILED, JobState.LOST}
    assert outcome.cause in {"killed.external", "lost.missing"}
    assert outcome.exit_code in {137, None}
    assert outcome.hint


@pytest.mark.parametrize("retention", [0, 600])
def test_the_shim_is_killed(tmp_path, retention):
    """Where the witness of the exit is killed the job is FAILED or LOST with words, no success."""
    with PrivateDocker() as engine, open_spawner(tmp_path, engine.address) as spawner:
        handle = spawner.spawn(shell("sleep 600", retention_seconds=retention))
        eventually(lambda: spawner.status(handle.job_id).state is JobState.RUNNING)
        engine.kill_shim(handle.name)
        outcome = spawner.wait(handle.job_id, PATIENCE)
        assert outcome.state in {JobState.FAILED, JobState.LOST}
        assert outcome.message
        if retention:
            spawner.remove(handle.job_id)
        eventually(lambda: engine.containers() == [])


def test_an_engine_without_an_init(tmp_path):
    """The engine's missing init is named, by check too; no program is said to be missing.

    Without an init jobs run all the same.
    """
    flags = ("--init-path", "/nowhere/docker-init")
    with PrivateDocker(flags=flags) as engine, open_spawner(tmp_path, engine.address) as spawner:
        failed = spawner.wait(spawner.spawn(shell("true")).job_id, PATIENCE)
        assert failed.cause == "start.failed"
        assert "init" in failed.message
        assert "docker.init=false" in failed.hint
        found = [item for item in spawner.check() if item.name == "init"]
        assert [item.level for item in found] == ["failed"]
        alone = spawner.spawn(shell("echo $$; exit 3", options={"docker": {"init": False}}))
        outcome = spawner.wait(alone.job_id, PATIENCE)
        assert (outcome.exit_code, outcome.log_tail) == (3, "1\n")


def test_the_disk_is_full(tmp_path):
    """A full disk refuses new jobs in words and leaves nothing; a running one ends as it does."""
    with PrivateDocker(disk_mb=64) as engine, open_spawner(tmp_path, engine.address) as spawner:
        job = spawner.spawn(shell("until [ -e /tmp/go ]; do sleep 0.1; done; exit 8"))
        eventually(lambda: spawner.status(job.job_id).state is JobState.RUNNING)
        filler = engine.folder / "root" / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536):
                    pass
            except OSError:
                pass
        with pytest.raises(SpawnerError) as caught:
            spawner.spawn(shell("true", job_id="refused"))
        assert "space" in caught.value.message or "disk" in caught.value.message
        let_end(engine.pid(job.name))
        assert spawner.wait(job.job_id, PATIENCE).exit_code == 8
        filler.unlink()
        again = spawner.spawn(shell("exit 2"))
        assert spawner.wait(again.job_id, PATIENCE).exit_code == 2
        eventually(lambda: engine.containers() == [])

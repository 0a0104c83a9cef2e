"""Jobs that end in ways nobody asked for: memory, other people, dead witnesses, full disks."""

from __future__ import annotations

import collections
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from docker_images import make_busybox
from docker_jobs import PATIENCE, docker, open_spawner, shell
from private_docker import PrivateDocker
from spawnery.errors import SpawnerError
from spawnery.models import Resources
from spawnery.outcomes import JobState

pytestmark = [pytest.mark.engine("docker"), pytest.mark.timeout(240)]

_EATS = "exec tail -c 1000000000 /dev/zero"


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


def until(true):
    limit = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < limit:
        time.sleep(0.05)
    assert true()


@pytest.mark.parametrize("retention", [0, 600])
def test_memory_runs_out(spawner, retention):
    """A job over its memory limit is FAILED with ``oom``, by the engine's evidence."""
    small = Resources(memory_limit="32Mi", memory_request="16Mi")
    spec = shell(_EATS, resources=small, retention_seconds=retention)
    outcome = spawner.wait(spawner.spawn(spec).job_id, PATIENCE)
    assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.FAILED, "oom", 137)
    assert outcome.oom is True
    assert "--memory-limit" in outcome.hint


def test_memory_runs_out_for_a_child(spawner):
    """A program that outlives a child killed for its memory ends with its own code."""
    small = Resources(memory_limit="32Mi", memory_request="16Mi")
    spec = shell("tail -c 1000000000 /dev/zero; exit 0", resources=small, retention_seconds=600)
    outcome = spawner.wait(spawner.spawn(spec).job_id, PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.SUCCEEDED, 0)


@pytest.mark.parametrize("retention", [0, 600])
@pytest.mark.parametrize("how", [("rm", "-f"), ("kill",)])
def test_somebody_else_ends_it(spawner, docker_socket, retention, how):
    """A container that somebody else kills or removes is told as such, never as a success."""
    handle = spawner.spawn(shell("sleep 600", retention_seconds=retention))
    until(lambda: spawner.status(handle.job_id).state is JobState.RUNNING)
    docker(docker_socket, *how, handle.name)
    outcome = spawner.wait(handle.job_id, PATIENCE)
    assert outcome.state in {JobState.FAILED, JobState.LOST}
    assert outcome.cause in {"killed.external", "lost.missing"}
    assert outcome.exit_code in {137, None}
    assert outcome.hint


def test_a_pause_is_no_end(spawner, docker_socket):
    """A paused job still runs; unpaused it ends as it would have."""
    handle = spawner.spawn(shell("sleep 2; exit 6"))
    docker(docker_socket, "pause", handle.name)
    time.sleep(2.5)  # longer than it has left to run
    assert spawner.status(handle.job_id).state is JobState.RUNNING
    docker(docker_socket, "unpause", handle.name)
    assert spawner.wait(handle.job_id, PATIENCE).exit_code == 6


def test_a_paused_job_can_be_stopped(spawner, docker_socket):
    """stop() of a paused job is CANCELLED and leaves nothing."""
    handle = spawner.spawn(shell("sleep 600"))
    docker(docker_socket, "pause", handle.name)
    assert spawner.stop(handle.job_id, grace_seconds=1).state is JobState.CANCELLED
    until(lambda: not docker(docker_socket, "ps", "-aq", "--filter", f"name={handle.name}"))


def test_two_hundred_quick_exits(spawner, docker_socket):
    """Two hundred containers that remove themselves: each exit code is right, nothing is left."""

    def run(number):
        job = spawner.spawn(shell(f"exit {number % 7}")).job_id
        return number % 7, spawner.wait(job, PATIENCE)

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(run, range(200)))
    wrong = [(code, outcome) for code, outcome in ended if outcome.exit_code != code]
    assert wrong == []
    states = collections.Counter(outcome.state for _, outcome in ended)
    assert states == {JobState.SUCCEEDED: 29, JobState.FAILED: 171}
    label = f"label=spawnery.dev/instance={spawner.instance}"
    until(lambda: not docker(docker_socket, "ps", "-aq", "--filter", label))


@pytest.mark.parametrize("retention", [0, 600])
def test_the_shim_is_killed(tmp_path, retention):
    """Where the witness of the exit is killed the job is FAILED or LOST with words, no success."""
    with PrivateDocker() as engine, open_spawner(tmp_path, engine.address) as spawner:
        handle = spawner.spawn(shell("sleep 600", retention_seconds=retention))
        until(lambda: spawner.status(handle.job_id).state is JobState.RUNNING)
        engine.kill_shim(handle.name)
        outcome = spawner.wait(handle.job_id, PATIENCE)
        assert outcome.state in {JobState.FAILED, JobState.LOST}
        assert outcome.message
        if retention:
            spawner.remove(handle.job_id)
        until(lambda: engine.containers() == [])


def test_the_disk_is_full(tmp_path):
    """A full disk refuses new jobs in words and leaves nothing; a running one ends as it does."""
    with PrivateDocker(disk_mb=64) as engine, open_spawner(tmp_path, engine.address) as spawner:
        job = spawner.spawn(shell("sleep 5; exit 8")).job_id
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
        assert spawner.wait(job, PATIENCE).exit_code == 8
        filler.unlink()
        again = spawner.spawn(shell("exit 2"))
        assert spawner.wait(again.job_id, PATIENCE).exit_code == 2
        until(lambda: engine.containers() == [])

"""The end of a log in the outcome of a failed job, whoever removes the container."""

from __future__ import annotations

import resource

import pytest
from docker_images import make_busybox
from docker_jobs import PATIENCE, environ_of, open_spawner, shell
from spawnery.model import JobSpec, SecretRef
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("docker")


@pytest.fixture(scope="session", autouse=True)
def image(docker_socket):
    make_busybox(f"unix://{docker_socket}")


@pytest.mark.parametrize("retention", [0, 600])
def test_the_end_of_a_failed_jobs_log(docker_socket, tmp_path, retention):
    """A failed job's outcome has the end of its log, also when the container removed itself."""
    with open_spawner(tmp_path, docker_socket, SPAWNERY_TAIL_BYTES="100") as spawner:
        script = "seq 500 | sed 's,^,line ,'; sleep 0.5; echo bad >&2; exit 3"
        job = spawner.spawn(shell(script, retention_seconds=retention)).job_id
        outcome = spawner.wait(job, PATIENCE)
        assert outcome.exit_code == 3
        assert 50 < len(outcome.log_tail) <= 100
        assert outcome.log_tail.endswith("line 500\nbad\n")
        spawner.remove(job)


def test_a_flood_keeps_only_its_end(docker_socket, tmp_path):
    """Fifty megabytes go by; the outcome has the end of them and memory stays where it was."""
    with open_spawner(tmp_path, docker_socket) as spawner:
        spawner.wait(spawner.spawn(shell("exit 1")).job_id, PATIENCE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        job = spawner.spawn(shell("yes 0123456789 | head -c 50000000; echo end; exit 3")).job_id
        outcome = spawner.wait(job, PATIENCE * 2)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert outcome.log_tail.endswith("end\n")
    assert len(outcome.log_tail) <= 8192
    assert after - before < 30_000, "more than 30 MB for a tail of 8 KB"


def test_binary_in_a_tail_is_text(docker_socket, tmp_path):
    """Bytes that are no UTF-8 are shown as such, a character that was cut is left out."""
    with open_spawner(tmp_path, docker_socket) as spawner:
        job = spawner.spawn(shell("printf 'a\\377b\\303\\251\\n'; exit 3")).job_id
        assert spawner.wait(job, PATIENCE).log_tail == "a\ufffdbé\n"


def test_the_tail_can_be_left_out(docker_socket, tmp_path):
    """Where the operator keeps no tails, the outcome says so and nobody listens."""
    with open_spawner(tmp_path, docker_socket, SPAWNERY_DOCKER_KEEP_TAIL="false") as spawner:
        outcome = spawner.wait(spawner.spawn(shell("echo x; exit 3")).job_id, PATIENCE)
        assert outcome.log_tail is None
        assert "KEEP_TAIL" in outcome.log_tail_missing


def test_a_process_that_does_not_know_the_secret_masks_it(docker_socket, tmp_path):
    """Who reads the tail of another process's job masks secrets by the container's own label."""
    environ = environ_of(tmp_path, docker_socket)
    value = "hunter2-hidden-value"
    spec = JobSpec(
        image="spawnery-test/busybox:1",
        command=["sh", "-c", "sleep 1; echo token=$TOKEN plain=$PLAIN; exit 3"],
        env={"PLAIN": "seen-by-all"},
        secrets={"TOKEN": SecretRef.environment("OWN_TOKEN")},
        retention_seconds=600,
    )
    with Spawner.open(environ={**environ, "OWN_TOKEN": value}) as spawner:
        job = spawner.spawn(spec).job_id
    with Spawner.open(environ=environ) as other:
        outcome = other.wait(job, PATIENCE)
        assert "token=*** plain=seen-by-all" in outcome.log_tail
        assert value not in repr(outcome)
        other.remove(job)

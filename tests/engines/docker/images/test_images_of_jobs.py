"""Jobs whose image has to be pulled: what runs, what the outcome and the terminal tell."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from docker_case import DockerCase, eventually
from docker_images import BUSYBOX
from private_docker import PrivateDocker
from registry import BadRegistry, bad_registry, make_image, refusal
from spawnery.contract import LABEL_DEADLINE
from spawnery.errors import SpawnFailed
from spawnery.model import JobSpec, JobState

pytestmark = pytest.mark.engine("docker")
PATIENCE = 60.0


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    """A registry that can be told to misbehave."""
    with bad_registry() as registry:
        yield registry


@pytest.fixture
def name(case: DockerCase, registry: BadRegistry) -> Iterator[str]:
    """The name of an image of the registry, which goes away afterwards."""
    name = f"{registry.host}/team/job:1"
    yield name
    with suppress(RuntimeError, subprocess.CalledProcessError, AssertionError):
        case.docker("image", "rm", "-f", name)


def test_a_job_of_a_pulled_image(case: DockerCase, registry: BadRegistry, name: str) -> None:
    """The image is pulled, the job runs, and the outcome names the digest that ran."""
    registry.images["team/job"] = image = make_image()
    spec = JobSpec(image=name, command=["/bin/sh", "-c", "exit 4"])
    with case.open() as spawner:
        outcome = spawner.wait(spawner.spawn(spec).job_id, PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 4)
    assert outcome.image_digest == image.digest


def test_the_user_of_the_image(case: DockerCase, registry: BadRegistry, name: str) -> None:
    """A numeric USER of the image is the job's user, in the profile restricted too."""
    registry.images["team/job"] = make_image(config={"User": "1234:1235"})
    spec = JobSpec(job_id="user", image=name, command=["/bin/sleep", "600"])
    with case.open() as spawner:
        spawner.spawn(spec)
        assert case.inspect("user")["Config"]["User"] == "1234:1235"
        spawner.stop("user", grace_seconds=0)


def test_the_pull_counts_in_the_deadline(
    case: DockerCase, registry: BadRegistry, name: str
) -> None:
    """What the pull took is taken off the deadline that the container carries."""
    registry.images["team/job"] = make_image(padding=3_000_000)
    registry.pause = 0.03
    spec = JobSpec(job_id="slow", image=name, command=["/bin/sleep", "600"], deadline_seconds=300)
    with case.open() as spawner:
        spawner.spawn(spec)
        label = case.inspect("slow")["Config"]["Labels"][LABEL_DEADLINE]
        spawner.stop("slow", grace_seconds=0)
    assert 200 < float(label) < 299


def test_a_pull_that_fails_leaves_nothing(
    case: DockerCase, registry: BadRegistry, name: str
) -> None:
    """A refused pull is an error of the spawn; the id is free, and works once the image is."""
    registry.images["team/job"] = make_image()
    registry.answer = lambda _method, _path: refusal(429, "TOOMANYREQUESTS", "slow down")
    spec = JobSpec(job_id="again", image=name, command=["/bin/true"])
    with case.open() as spawner:
        with pytest.raises(SpawnFailed) as caught:
            spawner.spawn(spec)
        assert (caught.value.cause, caught.value.retryable) == ("image.rate_limit", True)
        assert case.containers() == set()
        registry.answer = lambda _method, _path: None
        spawner.spawn(spec)
        assert spawner.wait("again", PATIENCE).state is JobState.SUCCEEDED


def test_an_image_that_went_away(case: DockerCase, registry: BadRegistry, name: str) -> None:
    """An image that somebody removed since the last job is pulled again, with never it is told."""
    registry.images["team/job"] = make_image()
    with case.open() as spawner:
        for number in range(2):
            spawner.spawn(JobSpec(job_id=f"away-{number}", image=name, command=["/bin/true"]))
            assert spawner.wait(f"away-{number}", PATIENCE).state is JobState.SUCCEEDED
            eventually(lambda: not case.containers())
            case.docker("image", "rm", "-f", name)
        spec = JobSpec(job_id="never", image=name, command=["/bin/true"], pull_policy="never")
        with pytest.raises(SpawnFailed) as caught:
            spawner.spawn(spec)
    assert caught.value.cause == "image.not_found"
    assert "never" in caught.value.message


def test_run_tells_of_the_pull(case: DockerCase, registry: BadRegistry, name: str) -> None:
    """`spawnery run` says on stderr that it pulls; stdout and the exit code are the job's own."""
    registry.images["team/job"] = make_image()
    done = case.cli("run", "--image", name, "--", "/bin/sh", "-c", "echo out; exit 5")
    assert (done.returncode, done.stdout) == (5, "out\n"), done.stderr
    assert f"pulling {name}" in done.stderr


def test_a_bar_on_a_terminal(case: DockerCase, registry: BadRegistry, name: str) -> None:
    """On a terminal the pull is a bar with the bytes, and it is gone before the job's output."""
    registry.images["team/job"] = make_image(padding=3_000_000)
    registry.pause = 0.03
    ours, theirs = pty.openpty()
    words = ["run", "--image", name, "--", "/bin/sh", "-c", "echo out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "spawnery", *words],
        env={**case.environ, "TERM": "xterm", "COLUMNS": "200"},
        cwd=case.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):
        while data := os.read(ours, 65536):
            shown += data
    os.close(ours)
    assert process.communicate(timeout=PATIENCE)[0] == b"out\n"
    assert process.returncode == 0
    assert f"pulling {name}".encode() in shown
    assert b"MB of " in shown


def test_no_space_for_an_image(docker_socket: str) -> None:
    """A pull that fills the engine's disk is engine.full, with the commands that make room."""
    with PrivateDocker(disk_mb=64) as engine, bad_registry(engine.name) as registry:
        registry.images["team/job"] = make_image(padding=100_000_000)
        case = DockerCase(engine.folder, engine.address)
        spec = JobSpec(image=f"{registry.host}/team/job:1", command=["/bin/true"])
        with case.open() as spawner, pytest.raises(SpawnFailed) as caught:
            spawner.spawn(spec)
        case.close()
    assert caught.value.cause == "engine.full"
    assert "no space left" in caught.value.message
    assert "docker image prune" in caught.value.hint


def test_a_tag_that_is_rebuilt_while_a_spawner_lives(case: DockerCase) -> None:
    """Each job runs as the user and in the folder of the image that the tag names at its start."""
    name, source = f"{case.prefix}-rebuilt:1", f"{case.prefix}-source"
    case.docker("create", "--name", source, BUSYBOX, "true")
    try:
        with case.open() as spawner:
            for user, folder in (("1234", "/one"), ("4321", "/two")):
                changes = (f"USER {user}", f"WORKDIR {folder}")
                words = [word for change in changes for word in ("--change", change)]
                built = case.docker("commit", *words, source, name)
                spec = JobSpec(image=name, command=["sh", "-c", "echo $(id -u) $PWD; exit 3"])
                outcome = spawner.wait(spawner.spawn(spec).job_id, PATIENCE)
                assert outcome.log_tail == f"{user} {folder}\n"
                assert outcome.image_digest == built
    finally:
        case.docker("image", "rm", "-f", name)

"""The life of jobs on Podman's Docker-compatible API, as far as its dialect goes (4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import podman_service
import pytest
from docker_case import BUSYBOX, DockerCase, eventually, output, running, sh
from docker_host import client_of, runtime_of
from spawnery.errors import InvalidSpec, NameConflict, SpawnerError, Unsupported
from spawnery.model import JobSpec, JobState, Resources
from spawnery_docker.check.place import Places

pytestmark = pytest.mark.engine("podman")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Podman service of its own."""
    with podman_service.podman_service() as address:
        yield address


@pytest.fixture
def podman(address: str, tmp_path: Path) -> Iterator[DockerCase]:
    """A corner of that Podman."""
    case = DockerCase(tmp_path, address)
    yield case
    case.close()


def test_podman_is_named(podman: DockerCase) -> None:
    """The check passes and says Podman."""
    done = podman.cli("check")
    assert done.returncode == 0, done.stdout
    assert "Podman" in done.stdout
    for capability in ("field.resources.gpus", "oom"):
        assert f"{capability} is lacking: Podman" in done.stdout


def test_outcomes(podman: DockerCase) -> None:
    """Success, failure with its tail, and output come by events and waits, not by a list."""
    with podman.open(SPAWNERY_RELIST_SECONDS="600") as spawner:
        assert output(spawner, sh("echo out", job_id="out")) == "out\n"
        spawner.spawn(sh("echo broken >&2; exit 3", job_id="fails"))
        outcome = spawner.wait("fails", PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
        assert "broken" in outcome.log_tail
        spawner.spawn(sh("exit 0", job_id="zero"))
        assert spawner.wait("zero", PATIENCE).state is JobState.SUCCEEDED


def test_stop(podman: DockerCase) -> None:
    """A job that is stopped is CANCELLED and gone."""
    with podman.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="stays"))
        running(spawner, "stays")
        assert spawner.stop("stays", grace_seconds=1).state is JobState.CANCELLED
    eventually(lambda: not podman.containers())


def test_retention(podman: DockerCase) -> None:
    """A job that is kept is the same job when spawned again, its log can be read, then it goes."""
    spec = sh("echo kept", job_id="kept", retention_seconds=600)
    with podman.open(SPAWNERY_RELIST_SECONDS="600") as spawner:
        assert spawner.spawn(spec).created
        assert spawner.wait("kept", PATIENCE).state is JobState.SUCCEEDED
        assert not spawner.spawn(spec).created
        with spawner.logs("kept") as chunks:
            assert b"".join(chunk.data for chunk in chunks) == b"kept\n"
        spawner.remove("kept")
    assert podman.containers() == set()


def test_the_restricted_profile(podman: DockerCase) -> None:
    """Its user may write to its home and to /tmp, owns the home, and cannot gain anything."""
    script = "id -u; cd; pwd; touch here /tmp/there && ls -ldn . | cut -d' ' -f1"
    script += "; grep CapEff /proc/self/status"
    with podman.open() as spawner:
        lines = output(spawner, sh(script)).split("\n")
    assert lines[:3] == ["65532", "/home/job", "drwx------"]
    assert lines[3].split()[-1] == "0" * 16


def test_what_podman_lacks_is_refused_with_the_reason(podman: DockerCase) -> None:
    """GPUs are refused before anything is made: Podman would take the wish and give none."""
    with podman.open() as spawner:
        with pytest.raises(Unsupported, match="Podman") as caught:
            spawner.spawn(JobSpec(image="i", resources=Resources(gpus=1)))
        assert "field.resources.gpus" not in spawner.capabilities
    assert caught.value.field == "resources.gpus"
    assert podman.containers() == set()


def test_a_name_that_is_taken(podman: DockerCase) -> None:
    """A container of somebody else under the name is a conflict of names, and stays."""
    foreign = podman.plant("taken")
    with podman.open() as spawner, pytest.raises(NameConflict):
        spawner.spawn(sh("true", job_id="taken"))
    assert podman.docker("inspect", "-f", "{{.State.Running}}", foreign) == "true"
    podman.docker("rm", "-f", foreign)


def test_what_podman_refuses_at_create_is_no_doubt(podman: DockerCase) -> None:
    """A create that Podman answers with 500 made nothing: it is a failure with Podman's words."""
    spec = sh("true", job_id="odd", options={"docker": {"cap_add": ["NO_SUCH"]}})
    allowed = podman.open(SPAWNERY_DOCKER_ALLOW_PRIVILEGED="1")
    with allowed as spawner, pytest.raises(SpawnerError) as caught:
        spawner.spawn(spec)
    assert caught.value.cause == "start.failed"
    assert "NO_SUCH" in caught.value.message
    assert podman.containers() == set()


def test_an_option_that_podman_ignores(podman: DockerCase) -> None:
    """Podman takes any runtime and uses its own, so a job that names one is refused."""
    spec = sh("true", options={"docker": {"runtime": "runsc"}})
    with podman.open() as spawner, pytest.raises(InvalidSpec, match="Podman") as caught:
        spawner.spawn(spec)
    assert caught.value.field == "options.docker.runtime"


def test_a_program_that_is_not_there(podman: DockerCase) -> None:
    """Podman's own init says that it cannot run the program: start.command_not_found."""
    with podman.open() as spawner:
        spec = JobSpec(image=BUSYBOX, command=["/no/such/program"])
        outcome = spawner.wait(spawner.spawn(spec).job_id, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "start.command_not_found")


def test_a_working_directory_that_is_a_file(podman: DockerCase) -> None:
    """Podman notices it at the start: its words are the outcome's, with the cause of Docker."""
    with podman.open() as spawner:
        job = spawner.spawn(sh("true", workdir="/etc/passwd")).job_id
        outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "start.workdir")
    assert "/etc/passwd" in outcome.message
    eventually(lambda: not podman.containers())


def test_the_place_has_no_id(podman: DockerCase) -> None:
    """Podman's id is a new one at each call, so the place is known by its address alone."""
    client = client_of({"DOCKER_HOST": podman.address})
    place = Places(client, runtime_of(podman.folder)).place()
    client.close()
    assert (place.endpoint, place.id) == (podman.address, None)

"""The life of jobs on Podman's Docker-compatible API, as far as its dialect goes (4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import podman_service
import pytest
from docker_case import DockerCase, eventually, output, running, sh
from spawnery.models import JobSpec
from spawnery.outcomes import JobState

pytestmark = pytest.mark.skipif(
    not podman_service.installed(), reason="needs podman and catatonit, and root"
)
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


def baseline(script: str, **fields: object) -> JobSpec:
    """A job in the profile baseline: Podman 4.3 refuses the owner of restricted's home."""
    return sh(script, security="baseline", **fields)


def test_podman_is_named(podman: DockerCase) -> None:
    """The check passes and says Podman."""
    done = podman.cli("check")
    assert done.returncode == 0, done.stdout
    assert "Podman" in done.stdout


def test_outcomes(podman: DockerCase) -> None:
    """Success, failure with its tail, and output come by events and waits, not by a list."""
    with podman.open(SPAWNERY_RELIST_SECONDS="600") as spawner:
        assert output(spawner, baseline("echo out", job_id="out")) == "out\n"
        spawner.spawn(baseline("echo broken >&2; exit 3", job_id="fails"))
        outcome = spawner.wait("fails", PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
        assert "broken" in outcome.log_tail
        spawner.spawn(baseline("exit 0", job_id="zero"))
        assert spawner.wait("zero", PATIENCE).state is JobState.SUCCEEDED


def test_stop(podman: DockerCase) -> None:
    """A job that is stopped is CANCELLED and gone."""
    with podman.open() as spawner:
        spawner.spawn(baseline("sleep 600", job_id="stays"))
        running(spawner, "stays")
        assert spawner.stop("stays", grace_seconds=1).state is JobState.CANCELLED
    eventually(lambda: not podman.containers())


def test_retention(podman: DockerCase) -> None:
    """A job that is kept is the same job when spawned again, its log can be read, then it goes."""
    spec = baseline("echo kept", job_id="kept", retention_seconds=600)
    with podman.open(SPAWNERY_RELIST_SECONDS="600") as spawner:
        assert spawner.spawn(spec).created
        assert spawner.wait("kept", PATIENCE).state is JobState.SUCCEEDED
        assert not spawner.spawn(spec).created
        with spawner.logs("kept") as chunks:
            assert b"".join(chunk.data for chunk in chunks) == b"kept\n"
        spawner.remove("kept")
    assert podman.containers() == set()

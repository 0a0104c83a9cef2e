"""An engine that speaks API 1.44 to 1.52 (Docker 29), and one whose minimum rises under us.

The rows of the seed pass through such an engine too: see ``test_seed.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_versions import Versions, engine_of_versions
from docker_case import PATIENCE, DockerCase, output, running, sh
from spawnery.errors import EngineUnreachable
from spawnery.outcomes import JobState

pytestmark = pytest.mark.engine("docker")


@pytest.fixture
def versions() -> Versions:
    """What the engine says that it speaks."""
    return Versions()


@pytest.fixture
def case(tmp_path: Path, docker_engine: str, versions: Versions) -> Iterator[DockerCase]:
    """A corner of the engine whose spawners meet those versions."""
    made = DockerCase(tmp_path, docker_engine)
    with engine_of_versions(docker_engine.removeprefix("unix://"), versions) as address:
        made.environ["DOCKER_HOST"] = address
        yield made
        made.close()


def test_it_is_spoken_to_in_its_own_version(case: DockerCase, versions: Versions) -> None:
    """The first request tells the versions: nothing is refused, and 1.44 is spoken."""
    with case.open() as spawner:
        assert output(spawner, sh("echo new")) == "new\n"
    assert versions.spoken == {"1.44"}
    assert versions.refused == 0


def test_a_minimum_that_rises_while_a_job_runs(case: DockerCase, versions: Versions) -> None:
    """The engine is upgraded under us: watch, status, stop and new jobs go on in 1.44."""
    versions.newest, versions.minimum = "1.41", "1.24"
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="before"))
        running(spawner, "before")
        versions.newest, versions.minimum = "1.52", "1.44"
        assert output(spawner, sh("echo after", job_id="after")) == "after\n"
        assert spawner.status("before").state is JobState.RUNNING
        assert spawner.stop("before", grace_seconds=0).state is JobState.CANCELLED
    assert versions.spoken == {"1.41", "1.44"}


def test_an_engine_too_new_for_us(case: DockerCase, versions: Versions) -> None:
    """Where no version is common it is an error that may pass, and no end of a job."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 5; exit 6", job_id="goes-on"))
        running(spawner, "goes-on")
        versions.newest = versions.minimum = "1.99"
        with pytest.raises(EngineUnreachable) as caught:
            spawner.spawn(sh("true", job_id="other"))
        assert caught.value.cause == "engine.too_new"
        assert caught.value.retryable
        versions.newest, versions.minimum = "1.52", "1.44"
        assert spawner.wait("goes-on", PATIENCE).exit_code == 6

"""The Docker spawner on Podman: what Podman cannot do is taken away, and the rest is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import podman_service
import pytest
from docker_bench import DockerBench
from spawnery.testing import SpawnerContract


@pytest.fixture(scope="session")
def podman_address() -> Iterator[str]:
    """A Podman service of its own."""
    with podman_service.podman_service() as address:
        yield address


class PodmanBench(DockerBench):
    """Containers of Podman."""

    def kill_engine_side(self, job_id: str) -> None:
        """Kill the program, then remove what is left: Podman 5 removes by SIGTERM first."""
        self.docker("kill", "-s", "KILL", self.name_of(job_id))
        self.docker("rm", "-f", self.name_of(job_id), check=False)


@pytest.mark.engine("podman")
class TestPodman(SpawnerContract):
    """Containers of Podman, by its Docker-compatible API."""

    __test__ = True

    @pytest.fixture
    def bench(
        self, tmp_path: Path, podman_address: str, second_docker: Callable[[], str]
    ) -> Iterator[PodmanBench]:
        """Make a state directory and a name prefix of its own for each test."""
        made = PodmanBench(tmp_path, podman_address, other=second_docker)
        yield made
        made.close()

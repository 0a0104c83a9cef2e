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


@pytest.mark.engine("podman")
class TestPodman(SpawnerContract):
    """Containers of Podman, by its Docker-compatible API."""

    __test__ = True

    @pytest.fixture
    def bench(
        self, tmp_path: Path, podman_address: str, second_docker: Callable[[], str]
    ) -> Iterator[DockerBench]:
        """Make a state directory and a name prefix of its own for each test."""
        made = DockerBench(tmp_path, podman_address, other=second_docker)
        yield made
        made.close()

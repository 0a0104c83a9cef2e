"""The Docker spawner keeps every promise, on a real engine and with faults on the way to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_bench import DockerBench
from spawnery.testing import SpawnerContract


@pytest.mark.engine("docker")
class TestDocker(SpawnerContract):
    """Containers of this machine's engine."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path, second_docker: Callable[[], str]) -> Iterator[DockerBench]:
        """Make a state directory and a name prefix of its own for each test."""
        made = DockerBench(tmp_path, other=second_docker)
        yield made
        made.close()

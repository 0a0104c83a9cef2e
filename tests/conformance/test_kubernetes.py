"""The Kubernetes spawner keeps every promise, on a real cluster, with faults on the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_bench import KubeBench, KubeSecretBench
from kube_place import KubePlace, kube_place
from spawnery.testing import SpawnerContract
from spawnery.testing.suites.p1_identity import Identity

pytestmark = pytest.mark.engine("kubernetes")


@pytest.fixture(scope="module")
def place(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePlace]:
    """A namespace of this worker that enforces the Pod Security level "restricted"."""
    with kube_place(kubeconfig, tmp_path_factory.mktemp("place"), level="restricted") as made:
        yield made


@pytest.fixture(scope="module")
def second(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePlace]:
    """Another namespace, for the few tests that need one."""
    with kube_place(kubeconfig, tmp_path_factory.mktemp("second"), level="restricted") as made:
        yield made


class TestKubernetes(SpawnerContract):
    """Jobs of the cluster."""

    __test__ = True

    @pytest.fixture
    def bench(
        self, tmp_path: Path, place: KubePlace, request: pytest.FixtureRequest
    ) -> Iterator[KubeBench]:
        """Make a state directory and a name prefix of its own for each test."""
        made = KubeBench(tmp_path, place, lambda: request.getfixturevalue("second"))
        yield made
        made.close()


class TestKubernetesWithSecrets(Identity):
    """Jobs that have a Secret each: whoever dies between the two requests leaves one job too."""

    __test__ = True

    @pytest.fixture
    def bench(
        self, tmp_path: Path, place: KubePlace, request: pytest.FixtureRequest
    ) -> Iterator[KubeSecretBench]:
        """Make a state directory and a name prefix of its own for each test."""
        made = KubeSecretBench(tmp_path, place, lambda: request.getfixturevalue("second"))
        yield made
        made.close()

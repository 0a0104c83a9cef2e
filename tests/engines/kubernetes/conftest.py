"""What tests of jobs on a real cluster share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_account import Account, deployed
from kube_case import KubeCase
from kube_faults import settle
from kube_images import load_busybox
from kubectl import Kubectl
from spawnery.testing.proxy import TransportProxy


@pytest.fixture(scope="session")
def kubectl(kubeconfig: str) -> Kubectl:
    """A person who may do everything; the cluster has the image of the tests."""
    person = Kubectl(kubeconfig)
    load_busybox(person)
    return person


@pytest.fixture(scope="module")
def account(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account of our manifests in a namespace that enforces "restricted"."""
    with deployed(kubectl, tmp_path_factory.mktemp("deploy")) as made:
        yield made


@pytest.fixture(autouse=True)
def _settled(request: pytest.FixtureRequest, kubeconfig: str) -> Iterator[None]:
    """Let the cluster recover before others use it again."""
    yield
    if request.node.get_closest_marker("alone") is not None:
        settle(Kubectl(kubeconfig))


@pytest.fixture
def case(account: Account, tmp_path: Path) -> Iterator[KubeCase]:
    """A corner of the cluster for one test."""
    made = KubeCase(tmp_path, account)
    yield made
    made.close()


@pytest.fixture
def proxy(account: Account) -> Iterator[TransportProxy]:
    """A way to the cluster on which things happen."""
    with account.proxy() as made:
        yield made


@pytest.fixture
def led(account: Account, proxy: TransportProxy, tmp_path: Path) -> Iterator[KubeCase]:
    """A corner of the cluster whose spawners go through the proxy."""
    made = KubeCase(tmp_path, account, proxy.address.replace("tcp://", "http://"))
    yield made
    made.close()

"""Where jobs live: a namespace of a cluster, told by its uid, or by its address without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from kube_account import Account, deployed
from kube_bare import Bare
from kube_case import KubeCase, eventually
from kubectl import Kubectl
from spawnery.testing.proxy import TransportProxy
from spawnery_kubernetes.rights import SPAWNER_RULES

pytestmark = pytest.mark.engine("kubernetes")


def uid_of(account: Account) -> str:
    """Return the uid of an account's namespace."""
    found = account.kubectl.get("namespace", account.namespace)
    return str(found["metadata"]["uid"])


def test_one_namespace_by_two_addresses(case: KubeCase, proxy: TransportProxy) -> None:
    """The uid of the namespace is the place's id, whatever the address of the API server."""
    server = proxy.address.replace("tcp://", "http://")
    direct, led = Bare(case), Bare(case, kubeconfig=case.account.kubeconfig(server=server))
    places = [bare.spawner.place() for bare in (direct, led)]
    assert {place.id for place in places} == {uid_of(case.account)}
    assert places[0].endpoint != places[1].endpoint
    assert places[1].endpoint == f"{server}/api/v1/namespaces/{case.namespace}"
    assert all(case.namespace in place.title for place in places)
    for bare in (direct, led):
        bare.spawner.close()


def test_another_namespace(case: KubeCase, kubectl: Kubectl, tmp_path: Path) -> None:
    """Two namespaces of one cluster are two places."""
    with deployed(kubectl, tmp_path) as other:
        one, two = Bare(case), Bare(case, kubeconfig=other.kubeconfig())
        first, second = one.spawner.place(), two.spawner.place()
        assert first.id != second.id
        assert first.endpoint != second.endpoint
        one.spawner.close()
        two.spawner.close()


def test_where_the_namespace_is_hidden(case: KubeCase) -> None:
    """Without the right to read it the place has an address and no id; jobs run all the same, and
    check names the rule that is missing."""
    case.account.clone("placeless", SPAWNER_RULES)
    bare = Bare(case, kubeconfig=case.account.kubeconfig("placeless"))

    def namespace_item() -> str:
        [item] = [item for item in bare.spawner.check() if item.name == "namespace"]
        assert item.level == "warning"
        return item.hint or ""

    eventually(lambda: all(i.level != "failed" for i in bare.spawner.check() if i.name == "rights"))
    place = bare.spawner.place()
    assert place.id is None
    assert place.endpoint.endswith(f"/api/v1/namespaces/{case.namespace}")
    assert '"namespaces"' in namespace_item()
    assert bare.spawner.spawn(bare.asked("sleep 600")).created
    bare.spawner.close()


def test_a_cluster_that_does_not_answer(case: KubeCase, proxy: TransportProxy) -> None:
    """The place is told by its address then, within a few seconds; nothing is raised."""
    server = proxy.address.replace("tcp://", "http://")
    bare = Bare(case, kubeconfig=case.account.kubeconfig(server=server))
    proxy.refuse()
    place = bare.spawner.place()
    proxy.accept()
    assert (place.id, place.endpoint) == (None, f"{server}/api/v1/namespaces/{case.namespace}")
    assert bare.spawner.place().id == uid_of(case.account)
    bare.spawner.close()

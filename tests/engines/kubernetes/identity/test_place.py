"""Where jobs live: a namespace of a cluster, told by its uid, or by its address without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_images import BUSYBOX
from kube_account import Account, deployed
from kube_bare import Bare
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from kubectl import Kubectl
from spawnery.errors import JobNotFound
from spawnery.model import JobState
from spawnery.testing.proxy import TransportProxy
from spawnery_kubernetes.objects.rights import SPAWNER_RULES

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


@pytest.fixture
def elsewhere(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The kubeconfig of our account in another namespace."""
    with deployed(kubectl, tmp_path_factory.mktemp("elsewhere")) as other:
        yield other.kubeconfig()


def test_a_look_from_another_namespace_in_one_program(case: KubeCase, elsewhere: str) -> None:
    """Two spawners with one state directory: the other one neither judges, shows nor reaps a job
    of this namespace; it names the place where the job is."""
    with case.open() as here, case.open(SPAWNERY_KUBERNETES_KUBECONFIG=elsewhere) as there:
        here.spawn(sh("sleep 15", job_id="one", retention_seconds=5))
        with pytest.raises(JobNotFound) as caught:
            there.status("one")
        assert case.namespace in f"{caught.value.message} {caught.value.hint}"
        assert there.list() == []
        there.reap()
        running(here, "one")
        here.reap()
        assert [status.job_id for status in here.list()] == ["one"]
        assert here.wait("one", PATIENCE).state is JobState.SUCCEEDED


def test_a_look_from_another_namespace_in_two_programs(case: KubeCase, elsewhere: str) -> None:
    """The same with commands: status, ps, stop and reap of the other namespace change nothing."""
    other = {"SPAWNERY_KUBERNETES_KUBECONFIG": elsewhere}
    words = ("--cpu-request", "10m", "--memory-request", "16Mi", "--image", BUSYBOX)
    made = case.cli("spawn", "--job-id", "one", *words, "--", "sh", "-c", "sleep 600")
    assert made.returncode == 0, made.stderr
    for command in (["status", "one"], ["stop", "one"], ["rm", "one"]):
        done = case.cli(*command, **other)
        assert done.returncode != 0
        assert case.namespace in done.stderr, done.stderr
    for command in (["ps"], ["reap"]):
        done = case.cli(*command, **other)
        assert done.returncode == 0, done.stderr
        assert "one" not in done.stdout.split()
    assert case.cli("reap").returncode == 0
    assert "one" in case.cli("ps").stdout
    with case.open() as spawner:
        running(spawner, "one")
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED


def test_one_id_in_two_namespaces(case: KubeCase, elsewhere: str) -> None:
    """The same job id in two places is two jobs, each with an end of its own."""
    with case.open() as here, case.open(SPAWNERY_KUBERNETES_KUBECONFIG=elsewhere) as there:
        first = here.spawn(sh("exit 3", job_id="one"))
        second = there.spawn(sh("exit 4", job_id="one"))
        assert first.created
        assert second.created
        assert first.engine_id != second.engine_id
        assert here.wait("one", PATIENCE).exit_code == 3
        assert there.wait("one", PATIENCE).exit_code == 4

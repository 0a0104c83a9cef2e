"""What the doctor says of a real cluster, and of what is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_account import Account, deployed, runtime_of
from kube_case import KubeCase, sh
from kubectl import Kubectl
from registry import free_port
from spawnery.contract import CheckItem
from spawnery.testing.faults import Fault, Rule
from spawnery_kubernetes.objects.rights import CHECK_RULES
from spawnery_kubernetes.plugin import KubernetesSpawner
from spawnery_kubernetes.settings import KubernetesSettings

pytestmark = pytest.mark.engine("kubernetes")


@pytest.fixture(scope="module")
def kubectl(kubeconfig: str) -> Kubectl:
    """A person who may do everything."""
    return Kubectl(kubeconfig)


@pytest.fixture(scope="module")
def whole(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account of all manifests."""
    with deployed(kubectl, tmp_path_factory.mktemp("whole"), "check", "quota") as account:
        yield account


@pytest.fixture(scope="module")
def least(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account of the manifests that are not optional."""
    with deployed(kubectl, tmp_path_factory.mktemp("least")) as account:
        yield account


def findings(folder: Path, kubeconfig: str, **fields: Any) -> dict[str, CheckItem]:
    """Return what the doctor finds, by name, in the namespace of a kubeconfig or another."""
    own = {key: fields.pop(key) for key in ("namespace", "assign_user") if key in fields}
    settings = KubernetesSettings(kubeconfig=kubeconfig, **own)
    spawner = KubernetesSpawner(settings, runtime_of(folder, "doctor", **fields))
    items = spawner.check()
    spawner.close()
    found = {item.name: item for item in items}
    assert len(found) == len(items), "two findings have the same name"
    return found


def test_a_sound_cluster(whole: Account, kubectl: Kubectl, tmp_path: Path) -> None:
    """Who we are, where, what the namespace admits and leaves: all is told, nothing is amiss."""
    version = json.loads(kubectl("get", "--raw", "/version"))["gitVersion"]
    path = whole.kubeconfig()
    found = findings(tmp_path, path)
    assert found["credentials"].detail.startswith(f"context spawnery of {path}")
    assert found["server"].detail == f"Kubernetes {version}"
    account = f"system:serviceaccount:{whole.namespace}:spawnery"
    assert found["account"].detail == account
    assert found["namespace"].detail == whole.namespace
    assert found["pod security"].detail.startswith("restricted")
    assert found["rights"].detail.endswith(f"in {whole.namespace}")
    assert "count/jobs.batch 0 of 200" in found["quota spawnery"].detail
    assert found["limits"].detail.startswith("none")
    assert "checked the pod" in found["job"].detail
    assert "65532" in found["user"].detail
    assert {item.level for item in found.values()} == {"ok"}


def test_what_is_not_visible(least: Account, tmp_path: Path) -> None:
    """Without the second Role its rules are told to whoever wants to see more; nothing fails."""
    found = findings(tmp_path, least.kubeconfig())
    assert {item.level for item in found.values()} == {"ok"}
    assert "right to create pods" in found["job"].detail
    for name, rule in zip(("quota", "limits"), CHECK_RULES, strict=False):
        assert found[name].detail == "not visible"
        _, _, pasted = (found[name].hint or "").partition("\n")
        assert yaml.safe_load(pasted) == [
            {"apiGroups": [""], "resources": [rule.resource], "verbs": list(rule.verbs)}
        ]


def test_no_such_namespace(kubeconfig: str, tmp_path: Path) -> None:
    """A namespace that is not there is told with the command that makes it."""
    item = findings(tmp_path, kubeconfig, namespace="sp-never-made")["namespace"]
    assert (item.level, item.detail) == ("failed", "sp-never-made does not exist")
    assert item.hint == "kubectl create namespace sp-never-made"


def test_a_namespace_that_goes_away(kubectl: Kubectl, kubeconfig: str, tmp_path: Path) -> None:
    """A namespace that is being deleted, and is kept by something, takes no jobs."""
    with kubectl.namespace() as name:
        metadata = {"name": "stays", "namespace": name, "finalizers": ["spawnery.dev/test"]}
        kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        kubectl("delete", "namespace", name, "--wait=false")
        try:
            item = findings(tmp_path, kubeconfig, namespace=name)["namespace"]
        finally:
            patch = '{"metadata": {"finalizers": null}}'
            kubectl("patch", "configmap", "stays", "-n", name, "--type=merge", "-p", patch)
    assert item.level == "failed"
    assert "being deleted" in item.detail


def test_a_full_namespace(kubectl: Kubectl, kubeconfig: str, tmp_path: Path) -> None:
    """Quotas that are used up and limits that are too low for a usual job are warnings."""
    with kubectl.namespace() as name:
        metadata = {"name": "small", "namespace": name}
        hard = {"pods": "0", "requests.memory": "10Gi"}
        bounds = [{"type": "Container", "max": {"memory": "64Mi"}}]
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": metadata,
                "spec": {"hard": hard},
            },
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": metadata,
                "spec": {"limits": bounds},
            },
        )
        kubectl(
            "wait",
            "quota/small",
            "-n",
            name,
            "--for=jsonpath={.status.hard.pods}=0",
            "--timeout=60s",
        )
        found = findings(tmp_path, kubeconfig, namespace=name)
    assert found["quota small"].level == "warning"
    assert "pods 0 of 0, requests.memory 0 of 10Gi" in found["quota small"].detail
    assert found["quota small"].detail.endswith("does not fit: pods")
    assert found["limits small"].level == "warning"
    assert "memory limit 1Gi" in found["limits small"].detail
    assert found["pod security"].detail.startswith("no level of its own")


def elsewhere(account: Account, server: str) -> str:
    """Return a kubeconfig of the account for another address."""
    return account.kubeconfig(server=server)


def test_nobody_there(least: Account, tmp_path: Path) -> None:
    """Without an answer that is the finding, and the last one."""
    server = f"http://127.0.0.1:{free_port()}"
    found = findings(tmp_path, elsewhere(least, server), io_timeout_seconds=1.0)
    assert list(found) == ["package", "credentials", "server"]
    assert found["server"].level == "failed"
    assert server in found["server"].detail
    assert found["server"].hint


def test_a_server_that_hangs(least: Account, tmp_path: Path) -> None:
    """A server that does not answer is told within the limit for one call."""
    with least.proxy() as proxy:
        proxy.arm(Rule(Fault.STALL))
        server = proxy.address.replace("tcp://", "http://")
        found = findings(tmp_path, elsewhere(least, server), io_timeout_seconds=1.0)
    assert list(found) == ["package", "credentials", "server"]
    assert found["server"].level == "failed"


def test_a_server_that_fails_in_between(least: Account, tmp_path: Path) -> None:
    """An error of one question is that one's finding; the others are asked."""
    with least.proxy() as proxy:
        proxy.arm(Rule(Fault.ERROR_500, path="/selfsubjectaccessreviews"))
        server = proxy.address.replace("tcp://", "http://")
        found = findings(tmp_path, elsewhere(least, server), io_timeout_seconds=5.0)
    assert [name for name, item in found.items() if item.level == "failed"] == ["rights"]
    assert "limits" in found


@pytest.mark.parametrize("minor", ["28", "27+"])
def test_an_old_server(least: Account, tmp_path: Path, minor: str) -> None:
    """A server from before pods were replaced with care is a warning."""
    body = json.dumps({"major": "1", "minor": minor, "gitVersion": f"v1.{minor}"}).encode()
    with least.proxy() as proxy:
        proxy.arm(Rule(Fault.ERROR_500, path="/version", status=200, body=body))
        found = findings(tmp_path, elsewhere(least, proxy.address.replace("tcp://", "http://")))
    assert found["server"].level == "warning"
    assert f"v1.{minor} is older than 1.29" in found["server"].detail
    assert found["rights"].level == "ok"


def test_credentials_that_are_refused(least: Account, tmp_path: Path) -> None:
    """A token that the server does not know is told as such."""
    path = Path(least.kubeconfig())
    config = json.loads(path.read_text())
    config["users"][0]["user"]["token"] = "planted-token-6d1f"
    path.write_text(json.dumps(config))
    found = findings(tmp_path, str(path))
    assert list(found) == ["package", "credentials", "server"]
    assert found["server"].level == "failed"
    assert "401" in found["server"].detail or "nauthorized" in found["server"].detail
    assert "planted-token-6d1f" not in str(found)


def test_a_namespace_that_refuses_every_job(kubectl: Kubectl, tmp_path: Path) -> None:
    """A LimitRange with a ratio that no job of default size keeps is found: the pod is tried."""
    with deployed(kubectl, tmp_path, "check") as account:
        ratio = {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}
        metadata = {"name": "tight", "namespace": account.namespace}
        spec = {"limits": [ratio]}
        kubectl.apply(
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": spec}
        )
        found = findings(tmp_path, account.kubeconfig())
        assert found["limits tight"].level == "warning"
        assert "cpu limit 1000m with request 250m" in found["limits tight"].detail
        assert found["job"].level == "failed"
        assert "max limit to request ratio" in found["job"].detail


def test_a_namespace_that_chooses_users(kubectl: Kubectl, tmp_path: Path) -> None:
    """Where the namespace has a range of users (OpenShift) the cluster chooses; check tells, and
    warns where the setting says otherwise."""
    with deployed(kubectl, tmp_path) as account:
        note = "openshift.io/sa.scc.uid-range=1000650000/10000"
        kubectl("annotate", "namespace", account.namespace, note)
        path = account.kubeconfig()
        item = findings(tmp_path, path)["user"]
        assert (item.level, "cluster chooses" in item.detail) == ("ok", True)
        item = findings(tmp_path, path, assign_user="spawnery")["user"]
        assert item.level == "warning"
        assert "1000650000" in item.detail
        case = KubeCase(tmp_path, account)
        with case.open() as spawner:
            spawner.spawn(sh("true", job_id="one"))
            spawner.spawn(sh("true", job_id="two", user="7"))
            pods = [case.job(job)["spec"]["template"]["spec"] for job in ("one", "two")]
        case.close()
    assert "runAsUser" not in pods[0]["securityContext"]
    assert "fsGroup" not in pods[0]["securityContext"]
    assert pods[1]["securityContext"]["runAsUser"] == 7

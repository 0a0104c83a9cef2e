"""What a real cluster refuses, in our words: the causes that docs/causes.md promises."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_case import eventually
from kube_config import cluster_of, write
from kube_webhook import denier, policy, webhook
from kubectl import Kubectl
from spawnery.errors import (
    EngineDenied,
    EngineError,
    InvalidSpec,
    SpawnerError,
    SpawnFailed,
)
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.settings import KubernetesSettings

pytestmark = pytest.mark.engine("kubernetes")
PATIENCE = 60.0


@pytest.fixture
def kubectl(kubeconfig: str) -> Kubectl:
    """A person who may do everything."""
    return Kubectl(kubeconfig)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own."""
    with kubectl.namespace() as made:
        yield made


def client_of(kubeconfig: str, namespace: str) -> KubeClient:
    """Make a client of a namespace."""
    settings = KubernetesSettings(namespace=namespace)
    return KubeClient(resolve_access(settings, {"KUBECONFIG": kubeconfig}))


@pytest.fixture
def client(kubeconfig: str, namespace: str) -> Iterator[KubeClient]:
    """A client that may do everything."""
    made = client_of(kubeconfig, namespace)
    yield made
    made.close()


def job(name: str | None = None, **pod: Any) -> dict[str, Any]:
    """Make a Job that stays suspended."""
    container = {"name": "job", "image": "i", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container], **pod}}
    made = name or f"job-{secrets.token_hex(4)}"
    return {"metadata": {"name": made}, "spec": {"suspend": True, "template": template}}


def refusal(client: KubeClient, body: dict[str, Any], kind: str = "jobs") -> SpawnerError | None:
    """Try to create something; returns in words why not, None where it is created."""
    query = {"fieldValidation": "Strict", "dryRun": "All"}
    try:
        client.call("POST", client.path(kind), query=query, body=body, timeout=PATIENCE)
    except ApiError as error:
        return in_words(error, "create it", job_id="1")
    return None


def refused(ask: Callable[[], SpawnerError | None], words: str) -> SpawnerError:
    """Wait until something is refused for a reason: caches of the API server lag."""
    found: list[SpawnerError] = []

    def told() -> bool:
        error = ask()
        found[:] = [error] if error is not None else []
        return error is not None and words in error.message

    eventually(told)
    return found[0]


def test_a_missing_right(kubectl: Kubectl, kubeconfig: str, namespace: str, tmp_path: Path) -> None:
    """Who may not is told verb, resource and namespace, and the rule to add."""
    token = kubectl("create", "token", "default", "-n", namespace).strip()
    path = write(tmp_path / "config", {"token": token}, cluster_of(kubeconfig))
    client = client_of(path, namespace)
    error = refusal(client, job())
    client.close()
    assert type(error) is EngineDenied
    assert 'cannot create resource "jobs" in API group "batch"' in error.message
    assert namespace in error.message
    assert 'verbs: ["create"]' in (error.hint or "")


def test_a_namespace_that_is_not_there(kubeconfig: str) -> None:
    """A namespace that does not exist is told with the command that makes it."""
    client = client_of(kubeconfig, "sp-none")
    error = refusal(client, job())
    client.close()
    assert type(error) is EngineError
    assert error.cause == "namespace.not_found"
    assert "kubectl create namespace sp-none" in (error.hint or "")


def test_a_namespace_that_goes(client: KubeClient, kubectl: Kubectl, namespace: str) -> None:
    """A namespace that is being deleted takes nothing any more."""
    metadata = {"name": "held", "namespace": namespace, "finalizers": ["example.com/hold"]}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    kubectl("delete", "namespace", namespace, "--wait=false")
    try:
        error = refused(lambda: refusal(client, job()), "is being terminated")
        assert error.cause == "namespace.not_found"
        assert not error.retryable
    finally:
        patch = '{"metadata": {"finalizers": null}}'
        kubectl("patch", "configmap", "held", "-n", namespace, "--type=merge", "-p", patch)


def test_a_quota(client: KubeClient, kubectl: Kubectl, namespace: str) -> None:
    """A quota that is used up is one that may be free again."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota"}
    spec = {"hard": {"count/jobs.batch": "0"}}
    kubectl.apply({**quota, "metadata": {"name": "few", "namespace": namespace}, "spec": spec})
    error = refused(lambda: refusal(client, job()), "exceeded quota")
    assert type(error) is SpawnFailed
    assert error.cause == "quota"
    assert f"kubectl -n {namespace} describe" in (error.hint or "")


def test_pod_security(client: KubeClient, kubectl: Kubectl, namespace: str) -> None:
    """A pod that the namespace's level forbids is told with what it lacks."""
    level = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", namespace, level)
    pod = {"metadata": {"name": "p"}, "spec": job()["spec"]["template"]["spec"]}
    error = refused(lambda: refusal(client, pod, "pods"), "violates PodSecurity")
    assert type(error) is SpawnFailed
    assert (error.cause, error.retryable) == ("security.forbidden", False)
    assert "runAsNonRoot" in error.message


def test_a_limit_range(client: KubeClient, kubectl: Kubectl, namespace: str) -> None:
    """A pod that asks for more than a LimitRange allows is told so."""
    limits = {"limits": [{"type": "Container", "max": {"memory": "10Mi"}}]}
    metadata = {"name": "small", "namespace": namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": limits})
    spec = job()["spec"]["template"]["spec"]
    spec["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
    pod = {"metadata": {"name": "p"}, "spec": spec}
    error = refused(lambda: refusal(client, pod, "pods"), "maximum memory usage per Container")
    assert type(error) is SpawnFailed
    assert (error.cause, error.retryable) == ("quota", False)


def test_a_webhook_that_denies(
    client: KubeClient, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """A webhook's reasons are told."""
    with denier(tmp_path) as (address, bundle), webhook(kubectl, namespace, address, bundle):
        error = refused(lambda: refusal(client, job()), "no jobs on Fridays")
    assert type(error) is SpawnFailed
    assert (error.cause, error.retryable) == ("security.forbidden", False)


def test_a_webhook_that_is_down(client: KubeClient, kubectl: Kubectl, namespace: str) -> None:
    """A webhook that nobody answers at is the cluster's trouble, and may pass; nothing was done."""
    with webhook(kubectl, namespace, "https://127.0.0.1:1/"):
        error = refused(lambda: refusal(client, job()), "failed calling webhook")
    assert type(error) is EngineError
    assert (error.cause, error.retryable) == ("engine.error", True)


def test_a_policy(client: KubeClient, kubectl: Kubectl, namespace: str) -> None:
    """A policy of the API server itself is one, though it says 422."""
    with policy(kubectl, namespace):
        error = refused(lambda: refusal(client, job()), "no jobs on Fridays")
    assert type(error) is SpawnFailed
    assert (error.cause, error.retryable) == ("security.forbidden", False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (job("Not_A_Name"), "metadata.name"),
        (job(restartPolicy="Always"), "spec.template.spec.restartPolicy"),
        (job(nope=1), "spec.template.spec.nope"),
    ],
)
def test_malformed(body: dict[str, Any], field: str, client: KubeClient) -> None:
    """What is malformed is named by its field."""
    error = refusal(client, body)
    assert isinstance(error, InvalidSpec)
    assert error.field == field


def test_a_body_that_is_too_large(client: KubeClient) -> None:
    """A Job larger than the API takes is told with the limit, and was not created."""
    body = job()
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "x" * 4**11}]
    error = refusal(client, body)
    assert type(error) is EngineError
    assert "413" in error.message


def test_what_is_taken(client: KubeClient) -> None:
    """A name that is taken, and a Job that is another one by now, are told by their reasons."""
    body = job()
    path = client.path("jobs", body["metadata"]["name"])
    client.call("POST", client.path("jobs"), body=body, timeout=PATIENCE)
    reasons = []
    for method, where, sent in (
        ("POST", client.path("jobs"), body),
        ("DELETE", path, {"preconditions": {"uid": "another"}}),
    ):
        with pytest.raises(ApiError) as caught:
            client.call(method, where, body=sent, timeout=PATIENCE)
        assert caught.value.status == 409
        reasons.append(caught.value.reason)
    assert reasons == ["AlreadyExists", "Conflict"]

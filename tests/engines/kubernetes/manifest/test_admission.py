"""The floor and the cluster's own Pod Security admission judge the same patches alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kube_hostile import HARMLESS, HOSTILE, HOSTILE_RESTRICTED, STRICTER
from kube_manifest import job_manifest, options_of, patch_of, pod_of
from kubectl import Kubectl
from spawnery_kubernetes.manifest.patch import apply_options

pytestmark = pytest.mark.engine("kubernetes")
REFUSED = "violates PodSecurity"


@pytest.fixture(scope="module")
def kubectl(kubeconfig: str) -> Kubectl:
    """A person who may do everything."""
    return Kubectl(kubeconfig)


@pytest.fixture(scope="module", params=["restricted", "baseline"])
def level(request: pytest.FixtureRequest) -> str:
    """A Pod Security level."""
    return str(request.param)


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl, level: str) -> Iterator[str]:
    """A namespace that enforces it."""
    with kubectl.namespace({"pod-security.kubernetes.io/enforce": level}) as name:
        yield name


def verdict(kubectl: Kubectl, namespace: str, level: str, pod: dict[str, Any]) -> str:
    """Return what the cluster says to a job's pod with a patch, without making it."""
    job = apply_options(
        job_manifest(restricted=level == "restricted"), options_of(patch=patch_of(**pod))
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "patched"},
        "spec": pod_of(job),
    }
    words = ("create", "-n", namespace, "--dry-run=server", "--validate=strict", "-f", "-")
    done = kubectl.run(*words, stdin=json.dumps(manifest))
    return done.stderr if done.returncode else "admitted"


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_hostile(kubectl: Kubectl, namespace: str, level: str, what: str) -> None:
    """What the floor refuses in both profiles the cluster refuses at both levels."""
    assert REFUSED in verdict(kubectl, namespace, level, HOSTILE[what][0])


@pytest.mark.parametrize("what", sorted(HOSTILE_RESTRICTED))
def test_hostile_to_restricted(kubectl: Kubectl, namespace: str, level: str, what: str) -> None:
    """What the floor refuses to restricted jobs the cluster refuses at the restricted level."""
    found = verdict(kubectl, namespace, level, HOSTILE_RESTRICTED[what][0])
    assert REFUSED in found if level == "restricted" else found == "admitted"


@pytest.mark.parametrize("what", sorted(STRICTER))
def test_stricter(kubectl: Kubectl, namespace: str, level: str, what: str) -> None:
    """The cluster would admit a token and the one capability: there the floor is on its own."""
    assert verdict(kubectl, namespace, level, STRICTER[what][0]) == "admitted"


@pytest.mark.parametrize("what", sorted(HARMLESS))
def test_harmless(kubectl: Kubectl, namespace: str, level: str, what: str) -> None:
    """What the floor lets pass the cluster admits at either level, and knows all fields of it."""
    assert verdict(kubectl, namespace, level, HARMLESS[what]) == "admitted"

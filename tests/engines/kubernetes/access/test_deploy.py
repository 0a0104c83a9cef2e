"""The manifests as a person applies them: all at once, and by an overlay of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_account import DEPLOY
from kubectl import Kubectl

pytestmark = pytest.mark.engine("kubernetes")


def built(kubectl: Kubectl, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Build a kustomization; returns its objects by kind and name."""
    objects = list(yaml.safe_load_all(kubectl("kustomize", str(folder))))
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    assert len(found) == len(objects)
    return found


def _namespace(item: dict[str, Any]) -> str:
    """Return where an object lies; of a namespace, itself."""
    metadata = item["metadata"]
    return str(metadata["name"] if item["kind"] == "Namespace" else metadata["namespace"])


def test_all_at_once(kubectl: Kubectl) -> None:
    """The folder has every part: the spawner's in one namespace, the dispatcher's in another."""
    found = built(kubectl, DEPLOY)
    spawner = {key for key, item in found.items() if _namespace(item) == "spawnery"}
    assert spawner == {
        ("Namespace", "spawnery"),
        ("ServiceAccount", "spawnery"),
        ("Role", "spawnery"),
        ("RoleBinding", "spawnery"),
        ("NetworkPolicy", "spawnery-jobs"),
        ("NetworkPolicy", "redis-of-jobs"),
        ("RoleBinding", "dispatcher"),
        ("Role", "spawnery-check"),
        ("RoleBinding", "spawnery-check"),
        ("ResourceQuota", "spawnery"),
    }
    rest = {_namespace(item) for key, item in found.items() if key not in spawner}
    assert rest == {"spawnery-dispatcher"}


def test_the_overlay_of_the_readme(kubectl: Kubectl, tmp_path: Path) -> None:
    """The README's example makes another namespace with another level, and binds its account."""
    (example,) = re.findall(r"```yaml\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
    base = os.path.relpath(DEPLOY, tmp_path.resolve())
    assert "../deploy/kubernetes" in example
    text = example.replace("../deploy/kubernetes", base)
    (tmp_path / "kustomization.yaml").write_text(text)
    found = built(kubectl, tmp_path)
    labels = found["Namespace", "agents"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    (subject,) = found["RoleBinding", "spawnery"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "spawnery", "namespace": "agents"}

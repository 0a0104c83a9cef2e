"""What a namespace leaves for jobs is told, and what leaves nothing is a warning."""

from __future__ import annotations

from typing import Any

import pytest
from spawnery_kubernetes.check.quota import limits, pod_security, quotas

DEFAULTS = {"memory": ("512Mi", "1Gi"), "cpu": ("250m", "1000m")}


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A ResourceQuota."""
    return {
        "metadata": {"name": "q", "namespace": "ns"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used},
    }


FITS = [
    # hard, used, whether one more job of default size fits
    ({"count/jobs.batch": "3"}, {"count/jobs.batch": "2"}, True),
    ({"count/jobs.batch": "3"}, {"count/jobs.batch": "3"}, False),
    ({"pods": "1"}, {"pods": "1"}, False),
    ({"count/pods": "1"}, {}, True),
    ({"requests.memory": "1Gi"}, {"requests.memory": "512Mi"}, True),
    ({"requests.memory": "1Gi"}, {"requests.memory": "513Mi"}, False),
    ({"memory": "1Gi"}, {"memory": "1Gi"}, False),
    ({"limits.memory": "1Gi"}, {"limits.memory": "0"}, True),
    ({"limits.memory": "1000M"}, {"limits.memory": "0"}, False),
    ({"cpu": "1"}, {"cpu": "750m"}, True),
    ({"cpu": "1"}, {"cpu": "751m"}, False),
    ({"limits.cpu": "2"}, {"limits.cpu": "1500m"}, False),
    ({"count/configmaps": "1"}, {"count/configmaps": "1"}, True),
]


@pytest.mark.parametrize(("hard", "used", "fits"), FITS)
def test_quota(hard: dict[str, str], used: dict[str, str], fits: bool) -> None:
    """What is used and what there is are told; without room for one more job it is a warning."""
    (item,) = quotas([quota(hard, used)], DEFAULTS)
    (key,) = hard
    assert item.name == "quota q"
    assert item.detail.startswith(f"{key} {used.get(key, '0')} of {hard[key]}")
    assert item.level == ("ok" if fits else "warning")
    assert (f"does not fit: {key}" in item.detail) is not fits
    assert item.hint == (None if fits else "kubectl describe quota q -n ns")


def test_a_quota_for_some_pods() -> None:
    """A quota with scopes may not be about jobs, so it is told and warns of nothing."""
    full = {"pods": "0"}
    (item,) = quotas([quota(full, full, scopes=["BestEffort"])], DEFAULTS)
    assert item.level == "ok"
    assert "only some pods" in item.detail


def test_a_quota_that_nobody_has_counted() -> None:
    """A quota that is new has no numbers yet."""
    (item,) = quotas([{"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}], DEFAULTS)
    assert (item.level, item.detail) == ("ok", "not counted yet")


def test_no_quota() -> None:
    """Without one that is the finding."""
    (item,) = quotas([], DEFAULTS)
    assert item.detail.startswith("none")


def limit(kind: str, **bounds: dict[str, str]) -> dict[str, Any]:
    """A LimitRange."""
    return {"metadata": {"name": "l"}, "spec": {"limits": [{"type": kind, **bounds}]}}


BOUNDS = [
    # LimitRange, what is told of it, the default that it refuses
    (limit("Container", max={"memory": "1Gi"}), "Container memory at most 1Gi", None),
    (
        limit("Container", max={"memory": "1000M"}),
        "Container memory at most 1000M",
        "memory limit 1Gi",
    ),
    (limit("Pod", max={"cpu": "500m"}), "Pod cpu at most 500m", "cpu limit 1000m"),
    (limit("Container", min={"cpu": "250m"}), "Container cpu at least 250m", None),
    (limit("Container", min={"cpu": "0.3"}), "Container cpu at least 0.3", "cpu request 250m"),
    (limit("Container", default={"cpu": "1"}), "no bounds of size", None),
    (limit("PersistentVolumeClaim", max={"storage": "1Gi"}), "no bounds of size", None),
]


@pytest.mark.parametrize(("found", "told", "refused"), BOUNDS)
def test_limits(found: dict[str, Any], told: str, refused: str | None) -> None:
    """Bounds are told, and a warning where a job that asks for nothing is out of them."""
    (item,) = limits([found], DEFAULTS)
    assert item.name == "limits l"
    assert item.detail.startswith(told)
    assert item.level == ("warning" if refused else "ok")
    assert refused is None or f"is refused: {refused}" in item.detail


def test_no_limits() -> None:
    """Without a LimitRange that is the finding."""
    (item,) = limits([], DEFAULTS)
    assert item.detail.startswith("none")


@pytest.mark.parametrize("level", ["restricted", "baseline", "privileged", None])
def test_pod_security(level: str | None) -> None:
    """The level of the namespace is told, and that it has none."""
    labels = {"pod-security.kubernetes.io/enforce": level} if level else None
    item = pod_security({"metadata": {"labels": labels}})
    assert item.detail.startswith(level or "no level of its own")

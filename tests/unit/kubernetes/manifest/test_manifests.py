"""What the manifests of deploy/kubernetes let jobs reach, and how careful they are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[4] / "deploy" / "kubernetes"


def manifest(path: str) -> dict[str, Any]:
    """Read one manifest."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / path).read_text())
    return found


def blocks() -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Return the blocks of addresses that jobs may speak to, and at which ports."""
    for rule in manifest("spawner/network-policy.yaml")["spec"]["egress"]:
        for peer in rule["to"]:
            if "ipBlock" in peer:
                yield peer["ipBlock"], [port["port"] for port in rule["ports"]]


def reached(address: str, port: int) -> bool:
    """Tell whether jobs may speak to an address, as a network plugin does."""
    ip = ipaddress.ip_address(address)
    return any(
        ip in ipaddress.ip_network(block["cidr"])
        and port in ports
        and not any(ip in ipaddress.ip_network(part) for part in block["except"])
        for block, ports in blocks()
    )


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",  # metadata of most clouds
        "169.254.170.2",  # credentials of containers on AWS
        "fd00:ec2::254",
        "fe80::a9fe:a9fe",
        "100.100.100.200",  # metadata of Alibaba
        "10.96.0.1",  # the API server's service
        "172.17.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "::1",
    ],
)
def test_not_reached(address: str) -> None:
    """Jobs reach neither the metadata of a cloud nor what lies in private networks."""
    assert not reached(address, 443)
    assert not reached(address, 80)


@pytest.mark.parametrize("address", ["1.1.1.1", "140.82.121.3", "2606:4700::1111"])
def test_reached(address: str) -> None:
    """They reach what is outside, over HTTPS and nothing else."""
    assert reached(address, 443)
    assert not reached(address, 22)
    assert not reached(address, 53)


def test_nothing_comes_in() -> None:
    """The policy is about every job, denies what it does not allow, and lets nobody in."""
    spec = manifest("spawner/network-policy.yaml")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    assert spec["podSelector"] == {
        "matchExpressions": [{"key": "spawnery.dev/job-id", "operator": "Exists"}]
    }


def test_no_rights_in_the_cluster() -> None:
    """All that is made lies in the namespace, and no rule has a wildcard."""
    paths = [path for path in DEPLOY.rglob("*.yaml") if path.name != "kustomization.yaml"]
    assert paths
    for path in paths:
        found = yaml.safe_load(path.read_text())
        assert found["kind"] not in {"ClusterRole", "ClusterRoleBinding"}, path
        assert all("*" not in words for rule in found.get("rules", ()) for words in rule.values())


def test_the_namespace_is_restricted() -> None:
    """It enforces the restricted level on pods, and warns of Jobs."""
    labels = manifest("spawner/namespace.yaml")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"

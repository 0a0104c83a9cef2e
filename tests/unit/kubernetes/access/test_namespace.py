"""The address of an API server is written in one way."""

from __future__ import annotations

import pytest
from spawnery_kubernetes.jobs.namespace import normalised


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://Cluster.Example.", "https://cluster.example:443"),
        ("https://cluster.example:443/", "https://cluster.example:443"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("https://[FD00::1]:6443", "https://[fd00::1]:6443"),
        (
            "https://rancher.example/k8s/clusters/c-1",
            "https://rancher.example:443/k8s/clusters/c-1",
        ),
    ],
)
def test_one_way_to_write_an_address(server: str, expected: str) -> None:
    """Case, a port that goes without saying and a last slash make no other place."""
    assert normalised(server) == expected

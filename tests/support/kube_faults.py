"""Faults of a cluster's own parts, where the command that made the cluster can make them.

A test that makes one is marked ``alone``.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import Final

import pytest
from docker_images import BUSYBOX
from kube_case import eventually
from kubectl import Kubectl

_SECONDS: Final = 600.0
_NAMESPACE: Final = "default"


def restart(kubectl: Kubectl, part: str) -> None:
    """Stop and start a part of the cluster, such as ``kube-apiserver``; wait until it answers."""
    command = os.environ.get("SPAWNERY_TEST_CLUSTER")
    if command is None:
        pytest.skip(
            "SPAWNERY_TEST_CLUSTER names no command that could restart parts of the cluster"
        )
    subprocess.run([command, "restart", part], check=True, capture_output=True, timeout=_SECONDS)
    eventually(lambda: kubectl.run("get", "--raw", "/readyz").stdout == "ok")


def settle(kubectl: Kubectl) -> None:
    """Wait until pods run again: each part of the cluster takes its time to come back."""
    name = f"settled-{secrets.token_hex(4)}"
    mine = ("pod", name, "-n", _NAMESPACE)
    where = ("-n", _NAMESPACE, "--restart=Never", "--image-pull-policy=IfNotPresent")
    kubectl("run", name, f"--image={BUSYBOX}", *where, "--command", "--", "true")
    done = ("-o", "jsonpath={.status.phase}")
    eventually(lambda: kubectl("get", *mine, *done) == "Succeeded", _SECONDS)
    kubectl("delete", *mine, "--wait=false")

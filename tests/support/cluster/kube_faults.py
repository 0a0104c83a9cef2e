"""Faults of a cluster's own parts, where the command that made the cluster can make them.

A test that makes one is marked ``alone``.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

import pytest
from commands import checked
from docker_images import BUSYBOX
from kube_case import eventually
from kubectl import Kubectl

_COMMAND: Final = "SPAWNERY_TEST_CLUSTER"
_SECONDS: Final = 600.0
_NAMESPACE: Final = "default"
_CALLERS: Final = ("kube-scheduler", "kube-controller-manager", "kubelet")


def restart(kubectl: Kubectl, part: str) -> None:
    """Stop and start a part of the cluster, such as ``kube-apiserver``; wait until it answers."""
    if _COMMAND not in os.environ:
        pytest.skip(f"{_COMMAND} names no command that could restart parts of the cluster")
    _restart(part)
    eventually(lambda: kubectl.run("get", "--raw", "/readyz").stdout == "ok")


def _restart(part: str) -> None:
    checked(os.environ[_COMMAND], "restart", part, seconds=_SECONDS)


def settle(kubectl: Kubectl) -> None:
    """Wait until pods run again.

    The parts that call the API server ask less and less often while it is away, and were seen to
    come back a minute and a half after it; new ones ask at once.
    """
    if _COMMAND in os.environ:
        for part in _CALLERS:
            _restart(part)
    name = f"settled-{secrets.token_hex(4)}"
    mine = ("pod", name, "-n", _NAMESPACE)
    where = ("-n", _NAMESPACE, "--restart=Never", "--image-pull-policy=IfNotPresent")
    kubectl("run", name, f"--image={BUSYBOX}", *where, "--command", "--", "true")
    done = ("-o", "jsonpath={.status.phase}")
    eventually(lambda: kubectl("get", *mine, *done) == "Succeeded", _SECONDS)
    kubectl("delete", *mine, "--wait=false")

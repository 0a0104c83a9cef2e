"""Faults of a cluster's own parts, where the command that made the cluster can make them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from kube_case import eventually
from kubectl import Kubectl

_SECONDS: Final = 600.0
_LOCK: Final = "spawnery-test-cluster-faults"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep others from making faults: for what cannot be made good when they come just then."""
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(how: int) -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"{_LOCK}-{os.getuid()}.lock").open("w") as held:
        fcntl.flock(held, how)
        yield


def restart(kubectl: Kubectl, part: str) -> None:
    """Stop and start a part of the cluster, such as ``kube-apiserver``, and wait until it answers.

    Tests that do this take turns; all others live with it.
    """
    command = os.environ.get("SPAWNERY_TEST_CLUSTER")
    if command is None:
        pytest.skip(
            "SPAWNERY_TEST_CLUSTER names no command that could restart parts of the cluster"
        )
    with _locked(fcntl.LOCK_EX):
        subprocess.run(
            [command, "restart", part], check=True, capture_output=True, timeout=_SECONDS
        )
        eventually(lambda: kubectl.run("get", "--raw", "/readyz").stdout == "ok")

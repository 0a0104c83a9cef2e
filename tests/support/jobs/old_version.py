"""The version before places and identity, to run beside the present one."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

COMMIT = "b17189fc"
ROOT = Path(__file__).parents[3]
PACKAGES = ("core", "plugins/docker_spawner", "plugins/k8s_spawner", "dispatcher", "agent")


def old_version(folder: Path) -> dict[str, str]:
    """Unpack the version before; returns the variables under which our Python runs it.

    It uses the packages that are installed here. The test is skipped where the history of the
    project is not there.
    """
    command = ["git", "-C", str(ROOT), "archive", COMMIT, *PACKAGES]
    made = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if made.returncode:
        pytest.skip(f"the history of the project is not here: git fetch origin {COMMIT}")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return {"PYTHONPATH": os.pathsep.join(str(folder / name / "src") for name in PACKAGES)}

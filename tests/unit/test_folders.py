"""No folder of code or tests is so full that a reader cannot find the way in it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 15
LIMITS = {
    "core/src/spawnery": 16,
    "dispatcher/src/spawnery_dispatcher": 16,
    "agent/src/spawnery_agent": MOST,
    "plugins/docker_spawner/src/spawnery_docker": 18,
    "plugins/k8s_spawner/src/spawnery_kubernetes": 19,
    "tests": MOST,
}
"""The most entries of each tree's top; folders below may have as many as ``MOST``."""
FULLER = {"core/src/spawnery/testing": 17}
"""The conformance kit, until it is a distribution of its own."""
UNCOUNTED = {"__init__.py", "__main__.py", "py.typed", "__pycache__"}
RECORDED = ROOT / "tests/unit/kubernetes/objects"
"""What a real cluster showed, one file for each situation: data, which a test goes through."""


@pytest.mark.parametrize("tree", LIMITS)
def test_no_folder_is_too_full(tree: str) -> None:
    """Modules and folders below, without those that every package has, stay within the limit."""
    top = ROOT / tree
    folders = [top, *(path for path in top.rglob("*") if path.is_dir())]
    full = {}
    for folder in folders:
        if folder.name in UNCOUNTED or folder == RECORDED:
            continue
        name = str(folder.relative_to(ROOT))
        found = [path.name for path in folder.iterdir() if path.name not in UNCOUNTED]
        if len(found) > (LIMITS | FULLER).get(name, MOST):
            full[name] = len(found)
    assert full == {}

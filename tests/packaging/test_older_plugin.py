"""A spawner that was rendered before the modules of core moved goes on as it is.

``data/shellhost_0_2.tar.xz`` is ``examples/third_party_spawner`` as it was at the commit 343ee52.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from builds import CORE, Workshop, run, unpack

PACKED = Path(__file__).with_name("data") / "shellhost_0_2.tar.xz"
TOOLS = ("pytest-xdist", "hypothesis")


@pytest.mark.timeout(900)
def test_an_older_plugin_passes_its_own_tests(workshop: Workshop, tmp_path: Path) -> None:
    """It installs, and its tests pass with their own settings; old paths are warned of."""
    unpack(PACKED, tmp_path)
    folder = tmp_path / "third_party_spawner"
    wheel = workshop.build(folder, name="shellhost-0-2").wheel
    place = workshop.environment(f"{workshop.build(CORE).wheel}[testing]", wheel, *TOOLS)
    shutil.rmtree(folder / "src")
    command = (place.path("python"), "-m", "pytest", "-q", "-n", "2")
    done = run(*command, cwd=folder, env=place.variables(tmp_path), limit=800)
    assert done.returncode == 0, done.stdout
    assert "DeprecationWarning: spawnery.outcomes moved to spawnery.model.outcome" in done.stdout

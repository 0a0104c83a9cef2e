"""The workspace keeps its members together and its lock file portable."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PUBLIC_HOSTS = {"pypi.org", "files.pythonhosted.org"}


def _members() -> list[Path]:
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
    return sorted(
        folder / "pyproject.toml"
        for pattern in globs["members"]
        for folder in ROOT.glob(pattern)
        if (folder / "pyproject.toml").is_file()
    )


def test_members_have_one_version() -> None:
    """All distributions of the workspace carry the same version, and core is among them."""
    projects = [tomllib.loads(path.read_text())["project"] for path in _members()]
    assert "spawnery" in {project["name"] for project in projects}
    assert len({project["version"] for project in projects}) == 1


def test_installed_version_is_the_declared_one() -> None:
    """What the environment has installed is what core's pyproject declares."""
    declared = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())["project"]
    assert metadata.version("spawnery") == declared["version"]


def test_lock_names_only_the_public_index() -> None:
    """The lock file works on any machine: no host but those of the public index."""
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts <= PUBLIC_HOSTS


def test_licence_of_core_is_the_licence_of_the_repository() -> None:
    """The licence text that the wheel carries is the one at the root."""
    assert (ROOT / "core" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()

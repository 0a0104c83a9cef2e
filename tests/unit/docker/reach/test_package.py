"""Which versions of its packages the Docker spawner takes."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from installed import pretend
from spawnery.errors import PluginError
from spawnery_docker.check.package import usable


def test_what_is_installed_is_told() -> None:
    """Our version, and those of the packages that are there."""
    ours, package, pool = map(version, ("spawnery-docker", "docker", "urllib3"))
    assert usable() == f"spawnery-docker {ours} with docker {package}, urllib3 {pool}"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *(("docker", found) for found in ("5.0.3", "7.0.0", "8.0.0")),
        *(("urllib3", found) for found in ("1.26.20", "2.2.3", "3.0")),
    ],
)
def test_another_version(monkeypatch, tmp_path, name: str, found: str) -> None:
    """It is refused."""
    pretend(monkeypatch, tmp_path, name, found)
    with pytest.raises(PluginError, match=f"{name} {found} is installed"):
        usable()


@pytest.mark.parametrize("found", ["7.1.0", "7.2.0"])
def test_a_version_in_the_range(monkeypatch, tmp_path, found: str) -> None:
    """It is taken."""
    pretend(monkeypatch, tmp_path, "docker", found)
    assert f"with docker {found}," in usable()

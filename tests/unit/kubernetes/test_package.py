"""Which versions of the ``kubernetes`` package the spawner takes."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

import pytest
from spawnery.errors import PluginError
from spawnery_kubernetes import package


def test_the_installed_one_is_taken() -> None:
    """It is the one that is imported."""
    assert package.usable() == version("kubernetes")


def test_our_metadata_says_the_same() -> None:
    """What pip installs is what the spawner takes."""
    [ours] = [item for item in requires("spawnery-kubernetes") or () if "kubernetes" in item]
    wanted = package.REQUIREMENT.removeprefix("kubernetes").split(",")
    assert sorted(ours.removeprefix("kubernetes").split(",")) == sorted(wanted)


@pytest.mark.parametrize("found", ["34.1.0", "36.0.0", "36.0.1", "38.0.0", "v35"])
def test_another_version(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    """It is refused with its version, the wanted ones, and the command that brings one."""
    monkeypatch.setattr(package, "version", lambda _name: found)
    with pytest.raises(PluginError) as caught:
        package.usable()
    assert f"kubernetes {found} is installed" in caught.value.message
    assert caught.value.hint == f"pip install '{package.REQUIREMENT}'"


@pytest.mark.parametrize("found", ["35.0.0", "36.0.2", "37.0.2", "37.1.0rc1"])
def test_a_version_in_the_range(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    """It is taken."""
    monkeypatch.setattr(package, "version", lambda _name: found)
    assert package.usable() == found


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is said in words."""

    def missing(_name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(package, "version", missing)
    with pytest.raises(PluginError, match="which is not installed"):
        package.usable()

"""The packages under the spawner: which are there, and whether it was made for them."""

from __future__ import annotations

from spawnery.toolkit import check_requirements


def usable() -> str:
    """Return our own version and theirs, for ``check``; nothing is imported.

    Raises:
        PluginError: One is not installed, or in a version that our distribution does not take.
    """
    return check_requirements("spawnery-docker", "docker", "urllib3")

"""The ``kubernetes`` package under the spawner: which versions it was made for, which is there."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from spawnery.errors import PluginError

REQUIREMENT: Final = "kubernetes>=35,<38,!=36.0.0,!=36.0.1"
"""As in the metadata of our own distribution (a test compares them)."""
_MAJORS: Final = range(35, 38)
_BROKEN: Final = frozenset({"36.0.0", "36.0.1"})


def usable() -> str:
    """Return the version that is installed; nothing is imported.

    Raises:
        PluginError: There is none, or one that this spawner was not made for.
    """
    hint = f"pip install '{REQUIREMENT}'"
    try:
        found = version("kubernetes")
    except PackageNotFoundError:
        msg = "the Kubernetes spawner needs the package kubernetes, which is not installed"
        raise PluginError(msg, hint=hint) from None
    major = found.partition(".")[0]
    if not major.isdigit() or int(major) not in _MAJORS or found in _BROKEN:
        msg = f"the package kubernetes {found} is installed; the Kubernetes spawner needs"
        msg += f" {REQUIREMENT.removeprefix('kubernetes')}"
        raise PluginError(msg, hint=hint)
    return found

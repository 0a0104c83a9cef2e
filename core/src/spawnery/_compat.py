"""Import paths of version 0.2 that moved; removed in the next minor version.

``spawnery`` asks here for a module of its own that it does not have (``MODULES``); the packages
that have the name of an old module, and are not public, ask for a name of it (``NAMES``).
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

MODULES: Final = {
    "spawnery.checks": "spawnery.model.validators",
    "spawnery.defaults": "spawnery.model.defaults",
    "spawnery.denials": "spawnery.toolkit.denials",
    "spawnery.engine_clock": "spawnery.contract.engine_clock",
    "spawnery.hookspecs": "spawnery.contract.hookspecs",
    "spawnery.local.masking": "spawnery.toolkit.log_tail",
    "spawnery.logtext": "spawnery.contract.log_text",
    "spawnery.models": "spawnery.model.job",
    "spawnery.naming": "spawnery.model.names",
    "spawnery.outcomes": "spawnery.model.outcome",
    "spawnery.plugin": "spawnery.contract.declaration",
    "spawnery.proxies": "spawnery.toolkit.proxies",
    "spawnery.quantities": "spawnery.model.quantity",
    "spawnery.requirements": "spawnery.toolkit.requirements",
    "spawnery.secret": "spawnery.model.secret",
    "spawnery.streams": "spawnery.contract.streams",
    "spawnery.workers": "spawnery.toolkit.workers",
}
"""Modules that moved: old path, new path."""

_PORT: Final = "spawnery.contract.records"
_READER: Final = "spawnery.jobfile.reader"
NAMES: Final = {
    "spawnery.jobfile": dict.fromkeys(("MAX_BYTES", "json_schema", "load", "parse"), _READER),
    "spawnery.records": {
        **dict.fromkeys(("Begun", "JobRecords", "Kill", "KnownPlace", "Record", "Step"), _PORT),
        "MemoryRecords": "spawnery.records.memory",
        "doubles": "spawnery.records.duplicates",
        "is_other": "spawnery.records.duplicates",
    },
}
"""Modules that became packages of their name: their names, and where each is now."""


def find_spec(name: str) -> ModuleSpec | None:
    """Return what makes an old path the module that is now elsewhere; None for another path."""
    new = MODULES.get(name)
    return None if new is None else ModuleSpec(name, _Alias(new))


class _Alias(Loader):
    """Puts the module of the new path under the old one.

    Args:
        new: The new path.
    """

    def __init__(self, new: str) -> None:
        self._new = new

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the default, a module that ``exec_module`` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Replace the module that is being made by the real one, as importlib allows."""
        name = module.__name__
        _warn(name, self._new, stacklevel=3)
        sys.modules[name] = import_module(self._new)


def moved(package: str, name: str) -> object:
    """Return a name of the module that a package replaced.

    Args:
        package: The package, whose name the module had.
        name: What is asked for.

    Raises:
        AttributeError: The module had no such name.
    """
    new = NAMES[package].get(name)
    if new is None:
        msg = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(msg)
    _warn(f"{package}.{name}", f"{new}.{name}", stacklevel=4)
    return getattr(import_module(new), name)


def _warn(old: str, new: str, *, stacklevel: int) -> None:
    warnings.warn(
        f"{old} moved to {new}; the old path goes in the next minor version",
        DeprecationWarning,
        stacklevel=stacklevel,
    )

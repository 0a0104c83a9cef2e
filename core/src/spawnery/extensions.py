"""Loads extensions: only those that ``SPAWNER_PLUGINS`` names, in that order, each on its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from spawnery.discovery import EXTENSIONS, Installed, imported, installed
from spawnery.errors import PluginError, SpawnerNotFound

_logger = logging.getLogger("spawnery.plugins")


@frozen(kw_only=True)
class LoadedExtension:
    """An extension, or why there is none.

    Attributes:
        name: Its entry point.
        installed: Where it comes from; None when it is not installed.
        obj: The object with the hooks; None when it could not be loaded.
        error: Why.
    """

    name: str
    installed: Installed | None = None
    obj: Any = field(default=None, repr=False)
    error: PluginError | None = None


def load_extensions(names: Sequence[str], *, strict: bool) -> list[LoadedExtension]:
    """Load extensions by name.

    Args:
        names: In the order in which they are asked.
        strict: Raise where one cannot be loaded, instead of going on without it.

    Raises:
        PluginError: An extension is not installed (always), or cannot be loaded (``strict``).
    """
    if not names:
        return []
    found = {item.name.lower(): item for item in installed(EXTENSIONS)}
    loaded = []
    for name in names:
        item = found.get(name.lower())
        if item is None:
            there = ", ".join(str(other) for other in found.values()) or "none"
            msg = f"there is no extension {name!r} (from SPAWNER_PLUGINS). Installed: {there}"
            raise SpawnerNotFound(msg, hint="take it out of SPAWNER_PLUGINS, or install it")
        loaded.append(_loaded(name, item, strict=strict))
    return loaded


def _loaded(name: str, item: Installed, *, strict: bool) -> LoadedExtension:
    try:
        obj = _object(item)
    except PluginError as error:
        if strict:
            raise
        _logger.warning("going on without the extension %s: %s", name, error.message)
        return LoadedExtension(name=name, installed=item, error=error)
    return LoadedExtension(name=name, installed=item, obj=obj)


def _object(item: Installed) -> Any:
    obj = imported(item)
    if isinstance(obj, type):
        msg = f"{item}: {item.value} is a class, not an object with hooks"
        raise PluginError(msg, cause="plugin.invalid", hint="name an object: plugin = MyPlugin()")
    return obj

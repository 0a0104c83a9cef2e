"""Loads extensions: only those that ``SPAWNER_PLUGINS`` names, in that order, each on its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from spawnery.errors import PluginError, SpawnerAmbiguous, SpawnerNotFound
from spawnery.loading.discovery import EXTENSIONS, Installed, imported, installed

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
        names: In the order in which they are asked; a repeated one counts once.
        strict: Raise where one cannot be loaded, instead of going on without it.

    Raises:
        PluginError: An extension is not installed or claimed twice (always), or cannot be loaded
            (``strict``).
    """
    if not names:
        return []
    found = installed(EXTENSIONS)
    items = {name: _only(name, found) for name in names}
    return [_loaded(name, item, strict=strict) for name, item in items.items()]


def _only(name: str, found: Sequence[Installed]) -> Installed:
    matching = [item for item in found if item.name.lower() == name.lower()]
    if len(matching) == 1:
        return matching[0]
    if matching:
        both = " and ".join(f"{item.distribution} {item.version}" for item in matching)
        msg = f"the extension {name!r} is claimed by {both}"
        hint = f"{sys.executable} -m pip uninstall {matching[-1].distribution}"
        raise SpawnerAmbiguous(msg, hint=hint)
    there = ", ".join(str(item) for item in found) or "none"
    msg = (
        f"there is no extension {name!r} (from SPAWNER_PLUGINS). Installed: {there}."
        f" Python: {sys.executable}"
    )
    raise SpawnerNotFound(msg, hint="take it out of SPAWNER_PLUGINS, or install it")


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

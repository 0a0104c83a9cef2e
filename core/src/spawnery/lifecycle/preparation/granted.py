"""What a spawner can do on its engine: its declaration, minus what the engine lacks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType


class Granted:
    """Collects what is taken away from a declaration; any thread may use it.

    Args:
        declared: The capabilities of the plugin's declaration: the most that there can be.
    """

    def __init__(self, declared: frozenset[str]) -> None:
        self._lock = threading.Lock()
        self._present = declared
        self._lacking: dict[str, str] = {}

    def lacks(self, capability: str, why: str) -> None:
        """Take a capability away; see ``SpawnerRuntime.lacks``. The first reason stays."""
        with self._lock:
            if capability in self._present:
                self._present -= {capability}
                self._lacking[capability] = why

    @property
    def capabilities(self) -> frozenset[str]:
        """What the spawner can do, as far as its engine is known by now."""
        return self._present

    @property
    def lacking(self) -> Mapping[str, str]:
        """What was declared and is taken away, each with the reason."""
        with self._lock:
            return MappingProxyType(dict(self._lacking))

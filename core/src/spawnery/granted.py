"""What a spawner can do on its engine: its declaration, minus what the engine lacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from spawnery.errors import SpawnerError

if TYPE_CHECKING:
    import logging

    from spawnery.contract import Place
    from spawnery.engine import Engine

_ASK_AGAIN_SECONDS: Final = 30.0
"""How long an engine that did not say its id is left alone; it may never say one (Podman)."""


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


class FirstContact:
    """Asks the engine for its place before anything is decided by capabilities.

    A spawner learns from that request what its engine lacks. A spawner without the capability
    ``place`` is not asked.

    Args:
        engine: The spawner.
        declared: The capabilities of its declaration.
        logger: Gets what went wrong: a place is never an error of the caller.
    """

    def __init__(self, engine: Engine, declared: frozenset[str], logger: logging.Logger) -> None:
        self._engine = engine
        self._logger = logger
        self._lock = threading.Lock()
        self._ask_at: float | None = 0.0 if "place" in declared else None

    def make(self) -> None:
        """Ask once; again only after a while, and only where the engine did not say its id."""
        if self._ask_at is None:
            return
        with self._lock:
            if self._ask_at is None or time.monotonic() < self._ask_at:
                return
            found = self._place()
            known = found is not None and found.id is not None
            self._ask_at = None if known else time.monotonic() + _ASK_AGAIN_SECONDS

    def _place(self) -> Place | None:
        try:
            return self._engine.place()
        except SpawnerError as error:
            self._logger.warning("the place of the engine is not known: %s", error.message)
            return None

"""Keeps the records at the place where the engine is (see ``JobRecords.enter``)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from spawnery.contract.records import JobRecords
from spawnery.contract.requests import Place
from spawnery.errors import SpawnerError

_ASK_AGAIN_SECONDS: Final = 30.0
"""How long an engine that did not say its id is left alone; it may never say one (Podman)."""


class Placement:
    """Records that know their place.

    To ask for the place is the first contact with the engine, from which a spawner also learns
    what its engine lacks (``SpawnerRuntime.lacks``).

    Args:
        records: The records.
        ask: Asks the spawner for the place; None where it has none to tell.
        logger: Where a spawner's failure to answer goes.
    """

    def __init__(
        self,
        records: JobRecords,
        ask: Callable[[], Place] | None = None,
        *,
        logger: logging.Logger | None = None,
    ) -> None:
        self._logger = logger or logging.getLogger("spawnery")
        self._records = records
        self._ask = ask
        self._lock = threading.Lock()
        self._ask_at = 0.0
        self.key: str | None = None
        """Key of the present place; None until it was asked for, and where there is none."""

    @property
    def records(self) -> JobRecords:
        """The records, of the present place."""
        if self.key is None:
            self.contact()
        return self._records

    @property
    def unplaced(self) -> JobRecords:
        """The records, for what needs no place: to be closed."""
        return self._records

    def contact(self) -> None:
        """Ask for the place once; again only after a while, and only while its id is unknown."""
        if self._ask is None or time.monotonic() < self._ask_at:
            return
        with self._lock:
            if time.monotonic() >= self._ask_at:
                self._enter(self._ask)

    def renew(self) -> None:
        """Ask again: the engine may be another one than before."""
        if self._ask is not None:
            with self._lock:
                self._enter(self._ask)

    def _enter(self, ask: Callable[[], Place]) -> None:
        later = time.monotonic() + _ASK_AGAIN_SECONDS
        try:
            place = ask()
        except SpawnerError as error:
            # A broken answer is the plugin's fault, and no reason to refuse work.
            self._ask_at = later
            if error.cause != "spawner.closed":
                self._logger.warning("the place of the engine is not known: %s", error.message)
            return
        self.key = self._records.enter(place)
        self._ask_at = later if place.id is None else float("inf")

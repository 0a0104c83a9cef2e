"""Hears of kills that another process records while a job is being spawned here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from spawnery.errors import SpawnerError

if TYPE_CHECKING:
    from spawnery.tracker import Tracker

_INTERVAL_SECONDS: Final = 0.25
_LINGER_ROUNDS: Final = 20
"""Rounds without a spawn after which the thread sleeps until the next one."""


class KillListener:
    """Reads the records of jobs that are being spawned, by one thread for all of them.

    A spawn that is over before the first look costs nothing but setting a flag.

    Args:
        tracker: Knows the spawns that are under way.
        start_thread: Starts a daemon thread.
    """

    def __init__(
        self, tracker: Tracker, *, start_thread: Callable[[str, Callable[[], None]], object]
    ) -> None:
        self._tracker = tracker
        self._start_thread = start_thread
        self._lock = threading.Lock()
        self._started = False
        self._wanted = threading.Event()
        self._closed = threading.Event()

    def listen(self) -> None:
        """Make sure that somebody listens: called when a spawn begins."""
        if self._wanted.is_set():
            return
        self._wanted.set()
        with self._lock:
            if self._started:
                return
            self._started = True
        self._start_thread("spawnery-kills", self._run)

    def _run(self) -> None:
        idle = 0
        while not self._closed.wait(_INTERVAL_SECONDS):
            job_ids = list(self._tracker.spawning)
            idle = 0 if job_ids else idle + 1
            for job_id in job_ids:
                self._look(job_id)
            if idle > _LINGER_ROUNDS:
                self._wanted.clear()
                if not self._tracker.spawning:
                    self._wanted.wait()
                idle = 0

    def _look(self, job_id: str) -> None:
        try:
            record = self._tracker.ledger.records.get(job_id)
        except SpawnerError:
            return  # whoever spawns it will be told
        if record is not None and record.kill is not None:
            self._tracker.cancel(job_id)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wanted.set()

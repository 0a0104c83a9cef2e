"""Keeps the records of jobs that are being spawned here in step with other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from spawnery.errors import SpawnerError

if TYPE_CHECKING:
    from spawnery.lifecycle.tracker import Tracker
    from spawnery.records.steps import Steps

_INTERVAL_SECONDS: Final = 0.25
_LINGER_ROUNDS: Final = 20
"""Rounds without a spawn after which the thread sleeps until the next one."""


class KillListener:
    """Looks after the records of jobs that are being spawned, by one thread for all of them.

    It hears of kills that another process records, and writes what the spawn is doing. A spawn
    that is over before the first look costs nothing but setting a flag.

    Args:
        tracker: Knows the spawns that are under way.
        steps: What they are doing.
        start_thread: Starts a daemon thread.
    """

    def __init__(
        self,
        tracker: Tracker,
        steps: Steps,
        *,
        start_thread: Callable[[str, Callable[[], None]], object],
    ) -> None:
        self._tracker = tracker
        self._steps = steps
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
            self._steps.keep(job_ids)
            for job_id in job_ids:
                self._look(job_id)
            if idle > _LINGER_ROUNDS:
                self._wanted.clear()
                if not self._tracker.spawning:
                    self._wanted.wait()
                idle = 0

    def _look(self, job_id: str) -> None:
        ledger = self._tracker.ledger
        try:
            record = ledger.records.get(job_id)
            if record is not None:
                self._steps.write(job_id, ledger.records)
        except SpawnerError:
            return  # whoever spawns it will be told
        if record is not None and record.kill is not None:
            self._tracker.cancel(job_id)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wanted.set()

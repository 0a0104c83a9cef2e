"""What jobs wait for while their programs cannot start, as the engine tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Final

from attrs import evolve, frozen
from spawnery.contract import hookimpl
from spawnery.model import EventKind, JobEvent, JobState, JobStatus

from spawnery_dispatcher.talk.replies import waits_to_start

_AFTER_SECONDS: Final = 1.5
"""A reason that is gone again by then is not worth a change: every job is scheduled."""
_AGAIN_SECONDS: Final = 5.0
"""Least time between two notices of one job; the progress of a pull changes all the time."""
_WAITING: Final = frozenset({JobState.QUEUED, JobState.PENDING})
_STARTED: Final = frozenset({EventKind.RUNNING, EventKind.FINISHED, EventKind.REMOVED})


@frozen(kw_only=True)
class _Wait:
    """One job that waits.

    Attributes:
        since: When it was first seen waiting, seconds of the monotonic clock.
        notice: What for.
        spawning: Whether its spawn told that, and not the engine's watch.
        shown: The last notice that was to be shown.
        shown_at: When that was.
    """

    since: float
    notice: str
    spawning: bool
    shown: str = ""
    shown_at: float = 0.0


class Waits:
    """Collects reasons from the engine's watch and from spawns under way; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[str, _Wait] = {}
        self._over: set[str] = set()

    def see(self, status: JobStatus) -> None:
        """Take in how a job stands."""
        if status.state in _WAITING:
            notice = waits_to_start(status.message, status.cause, status.hint)
            self._add(status.job_id, notice, spawning=False)
        else:
            self._remove(status.job_id)

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Take in the progress of a spawn (the pull of an image), and its end."""
        if event.kind is EventKind.PROGRESS:
            self._add(event.job_id, waits_to_start(event.message, None), spawning=True)
        elif event.kind in _STARTED:
            self._remove(event.job_id)
        elif event.kind is EventKind.SPAWNED:
            self._remove(event.job_id, spawning=True)

    def due(self, job_ids: Collection[str]) -> dict[str, str]:
        """Return the notices that those jobs are to show from now on, each once; empty: none."""
        now = time.monotonic()
        with self._lock:
            over = self._over & set(job_ids)
            self._over -= over
            found = dict.fromkeys(over, "")
            for job_id in self._waits.keys() & set(job_ids):
                wait = self._waits[job_id]
                early = now - wait.since < _AFTER_SECONDS
                recent = bool(wait.shown) and now - wait.shown_at < _AGAIN_SECONDS
                if not early and not recent and wait.notice != wait.shown:
                    self._waits[job_id] = evolve(wait, shown=wait.notice, shown_at=now)
                    found[job_id] = wait.notice
        return found

    def show_again(self, job_id: str) -> None:
        """Let a notice of a job be due again: what it showed is gone."""
        with self._lock:
            if found := self._waits.get(job_id):
                self._waits[job_id] = evolve(found, shown="")

    def forget(self, job_id: str) -> None:
        """Forget a job that is not followed any more."""
        with self._lock:
            self._waits.pop(job_id, None)
            self._over.discard(job_id)

    def _add(self, job_id: str, notice: str, *, spawning: bool) -> None:
        if not notice:
            return
        with self._lock:
            found = self._waits.get(job_id)
            new = _Wait(since=time.monotonic(), notice=notice, spawning=spawning)
            wait = evolve(found, notice=notice, spawning=spawning) if found else new
            self._waits[job_id] = wait
            self._over.discard(job_id)

    def _remove(self, job_id: str, *, spawning: bool = False) -> None:
        """Forget what a job waited for; ``spawning``: only what its spawn told."""
        with self._lock:
            found = self._waits.get(job_id)
            if found is None or (spawning and not found.spawning):
                return
            del self._waits[job_id]
            if found.shown:
                self._over.add(job_id)

"""What the spawns of this process are doing, kept in their records for other processes to read."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Final

from attrs import evolve, frozen

from spawnery.contract.declaration import Clock
from spawnery.contract.records import JobRecords, Step
from spawnery.model.outcome import EventKind, JobEvent
from spawnery.model.secret import Masker

_LEAST_SECONDS: Final = 1.0
"""Between two writes of one job that tell of nothing but more bytes."""


@frozen
class _Written:
    """What was written last of a job, and when on the monotonic clock."""

    step: Step
    at: float


class Steps:
    """Collects what spawners tell of their spawns (``SpawnerRuntime.emit``).

    ``take`` only remembers; the thread that looks after spawns under way writes (``write``), so
    that neither a pull nor a short spawn waits for the records.

    Args:
        holder: Who we are.
        clock: Our time.
        masker: Masks what is told.
    """

    def __init__(self, *, holder: str, clock: Clock, masker: Masker) -> None:
        self._holder = holder
        self._clock = clock
        self._masker = masker
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._written: dict[str, _Written] = {}

    def take(self, event: JobEvent) -> None:
        """Remember what a spawn is doing now; any thread."""
        if event.kind is not EventKind.PROGRESS or not event.message:
            return
        step = Step(
            holder=self._holder,
            since=self._clock.now(),
            message=self._masker.mask(event.message),
            cause=event.cause,
            current=_whole(event.data.get("current")),
            total=_whole(event.data.get("total")),
        )
        with self._lock:
            before = self._steps.get(event.job_id)
            if before is not None and _what(before) == _what(step):
                step = evolve(step, since=before.since)
            self._steps[event.job_id] = step

    def write(self, job_id: str, records: JobRecords) -> None:
        """Write what a spawn is doing, where that has changed."""
        now = time.monotonic()
        with self._lock:
            step, written = self._steps.get(job_id), self._written.get(job_id)
            if step is None or (written is not None and not _is_news(step, written, now)):
                return
        records.step(job_id, step)
        with self._lock:
            self._written[job_id] = _Written(step, now)

    def keep(self, job_ids: Collection[str]) -> None:
        """Forget all jobs but these: their spawns are over."""
        with self._lock:
            for known in (self._steps, self._written):
                for job_id in known.keys() - set(job_ids):
                    del known[job_id]


def _what(step: Step) -> tuple[str, str | None]:
    return step.message, step.cause


def _is_news(step: Step, written: _Written, now: float) -> bool:
    if _what(step) != _what(written.step):
        return True
    return step != written.step and now - written.at >= _LEAST_SECONDS


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

"""Tells observers what happens to jobs, each behind its own bounded queue and thread."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from spawnery.contract.streams import start_daemon
from spawnery.model.outcome import EventKind, JobEvent, Outcome

if TYPE_CHECKING:
    import logging

    import pluggy

    from spawnery.model.secret import Masker

_QUEUE_LIMIT: Final = 10_000
_CLOSE_SECONDS: Final = 2.0


class _Observer:
    """One ``job_event`` implementation with its queue."""

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        logger: logging.Logger,
        done: Callable[[str, JobEvent], None],
    ) -> None:
        self.name = name
        self.failures = 0
        self.dropped = 0
        self._call = call
        self._logger = logger
        self._done = done
        self._queue: queue.Queue[JobEvent | None] = queue.Queue(_QUEUE_LIMIT)
        self._thread = start_daemon(f"spawnery-observer-{name}", self._run)

    def put(self, event: JobEvent) -> None:
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.dropped += 1
            self._logger.warning(
                "observer %s is too slow: %d events dropped", self.name, self.dropped
            )

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._call(event)
            except Exception as error:  # noqa: BLE001 - an observer changes nothing
                self.failures += 1
                self._logger.warning(
                    "observer %s failed on %s: %s", self.name, event.id, type(error).__name__
                )
            self._done(self.name, event)

    def close(self) -> None:
        try:
            self._queue.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(_CLOSE_SECONDS)


def _bind(impl: pluggy.HookImpl) -> Callable[[JobEvent], Any]:
    if "event" in impl.argnames:
        return lambda event: impl.function(event=event)
    return lambda _event: impl.function()


class Observers:
    """All observers.

    Args:
        manager: pluggy's manager with the plugins that implement ``job_event``.
        instance: Part of the events' ids.
        masker: Masks what events say.
        logger: Where failures go.
        now: Wall clock.
        announced: Called with the job id when every lasting observer has seen the end of a job.
        lasting: Names of the observers that must learn of every end, also of one that happened
            while no process had them loaded (those of ``SPAWNER_PLUGINS``); others watch along.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        *,
        instance: str,
        masker: Masker,
        logger: logging.Logger,
        now: Callable[[], datetime],
        announced: Callable[[str], None],
        lasting: Collection[str] = (),
    ) -> None:
        self._instance = instance
        self._masker = masker
        self._now = now
        self._announced = announced
        self._lock = threading.Lock()
        self._pending: dict[str, int] = {}
        self._observers = [
            _Observer(impl.plugin_name, _bind(impl), logger, self._seen)
            for impl in reversed(manager.hook.job_event.get_hookimpls())
        ]
        self.lasting = frozenset(o.name for o in self._observers if o.name in lasting)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def tell(
        self, kind: EventKind, job_id: str, message: str = "", *, outcome: Outcome | None = None
    ) -> None:
        """Tell all observers that something happened; the id is the same when it is told again."""
        if not self._observers:
            return
        key = f"{self._instance}\0{job_id}\0{kind}\0{message if outcome is None else ''}"
        event = JobEvent(
            id=hashlib.sha256(key.encode()).hexdigest()[:32],
            kind=kind,
            job_id=job_id,
            time=self._now(),
            message=message,
            outcome=outcome,
        )
        self.emit(event)

    def emit(self, event: JobEvent) -> None:
        """Hand on an event, masked."""
        if not self._observers:
            return
        event = evolve(event, message=self._masker.mask(event.message))
        if event.kind is EventKind.FINISHED:
            with self._lock:
                self._pending[event.job_id] = len(self.lasting)
        for observer in self._observers:
            observer.put(event)

    def _seen(self, name: str, event: JobEvent) -> None:
        if event.kind is not EventKind.FINISHED or name not in self.lasting:
            return
        with self._lock:
            left = self._pending.pop(event.job_id, 1) - 1
            if left > 0:
                self._pending[event.job_id] = left
                return
        self._announced(event.job_id)

    def close(self) -> None:
        """Let each observer finish what is in its queue, within two seconds."""
        for observer in self._observers:
            observer.close()

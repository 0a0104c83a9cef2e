"""The hook ``watch``: one thread looks at all job folders, whatever their number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from spawnery.contract.declaration import SpawnerRuntime
from spawnery.contract.streams import JobStream, ThreadedStream
from spawnery.local.lifecycle import Lifecycle
from spawnery.local.state.store import Store
from spawnery.model.outcome import JobGone, JobSeen, JobState, JobStatus, Synced, WatchEvent

_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.25
_SHARE: Final = 10
"""A look is followed by a pause at least so many times as long, so many jobs cost little."""
_QUIET: Final = 1.2


class _Watching:
    """What was told of each folder, by name.

    Args:
        lifecycle: Reads a folder.
        store: Lists them.
    """

    def __init__(self, lifecycle: Lifecycle, store: Store) -> None:
        self._lifecycle = lifecycle
        self._store = store
        self._told: dict[str, tuple[int, JobStatus]] = {}
        self._removals, _ = lifecycle.removed(0)

    def produce(self, put: Callable[[WatchEvent], bool], closed: threading.Event) -> None:
        """Tell of each job, then of each change."""
        synced, pause = False, _SHORTEST_PAUSE
        while not closed.is_set():
            began = time.monotonic()
            events = self._look()
            if not synced:
                events.append(Synced())
                synced = True
            for event in events:
                if not put(event):
                    return
            pause = _SHORTEST_PAUSE if events else min(pause * _QUIET, self._longest())
            closed.wait(max(pause, (time.monotonic() - began) * _SHARE))

    def _longest(self) -> float:
        live = any(status.outcome is None for _, status in self._told.values())
        return _SHORTEST_PAUSE if live else _LONGEST_PAUSE

    def _look(self) -> list[WatchEvent]:
        self._lifecycle.now()  # core's idea of it is wrong after the machine has slept
        shown = self._lifecycle.shown()  # before the list: what is made after it is not gone
        names = self._store.names()
        there = {name for name, _ in names}
        events = self._removed()
        events += {**self._unseen(shown, there), **self._gone(there)}.values()
        for name, mark in names:
            known = self._told.get(name)
            if known is not None and known[0] == mark and self._as_told(name, known[1]):
                continue
            status = self._lifecycle.glance(name)
            if status is None:
                continue
            if known is not None and known[1].engine_id != status.engine_id:
                events.append(_gone(known[1]))
            self._told[name] = (mark, status)
            if known is None or known[1] != status:
                events.append(JobSeen(status=status))
        return events

    def _as_told(self, name: str, status: JobStatus) -> bool:
        """Tell cheaply that nothing can have changed."""
        if status.state is JobState.RUNNING:
            return self._store.runs_on(name)
        return status.outcome is not None

    def _removed(self) -> list[WatchEvent]:
        """Tell the ends of jobs that were removed before a look had seen them ended."""
        self._removals, removed = self._lifecycle.removed(self._removals)
        events: list[WatchEvent] = []
        for status in removed:
            mark, told = self._told.get(status.name, (0, None))
            if told is None or (told.engine_id == status.engine_id and told.outcome is None):
                self._told[status.name] = mark, status
                events.append(JobSeen(status=status))
        return events

    def _unseen(self, shown: dict[str, JobGone], names: set[str]) -> dict[str, JobGone]:
        """Tell what came and went between two looks, if another hook has told of it."""
        gone = {name: event for name, event in shown.items() if name not in names}
        for name, event in gone.items():
            self._lifecycle.forget_shown(name, event)
        return gone

    def _gone(self, names: set[str]) -> dict[str, JobGone]:
        gone = [name for name in self._told if name not in names]
        return {name: _gone(self._told.pop(name)[1]) for name in gone}


def _gone(told: JobStatus) -> JobGone:
    return JobGone(job_id=told.job_id, engine_id=told.engine_id, record_id=told.record_id)


def open_watch(
    lifecycle: Lifecycle, store: Store, runtime: SpawnerRuntime
) -> JobStream[WatchEvent]:
    """Open the stream of changes; it always begins with the list."""
    return ThreadedStream(
        _Watching(lifecycle, store).produce, start=runtime.start_thread, name="spawnery-local-watch"
    )

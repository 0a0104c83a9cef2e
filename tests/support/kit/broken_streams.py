"""Spawners whose streams are broken; see ``broken_spawners``."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve
from broken_base import Changed, caught
from spawnery.contract import JobStream, hookimpl
from spawnery.model import JobGone, JobSeen, LogChunk, Synced, WatchEvent
from spawnery.testing.fake import FakeSpawner
from spawnery.testing.fake.bench import AutoRemoving

if TYPE_CHECKING:
    from spawnery.contract import LogsRequest, WatchRequest

T = TypeVar("T")


class Deaf(JobStream[T]):
    """A stream whose close() nobody hears who is blocked in it."""

    def __init__(self, inner: JobStream[T]) -> None:
        self._inner = inner

    def __next__(self) -> T:
        return next(self._inner)

    def close(self) -> None:
        """Do nothing."""


class Endless(JobStream[T]):
    """A stream that never ends but by close()."""

    def __init__(self, inner: JobStream[T]) -> None:
        self._inner = inner
        self._closed = threading.Event()

    def __next__(self) -> T:
        try:
            return next(self._inner)
        except StopIteration:
            self._closed.wait()
            raise

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._inner.close()


@caught("streams", "test_closing_a_log_wakes_its_reader")
class DeafLog(FakeSpawner):
    """A log whose reader close() does not wake."""

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open it."""
        return Deaf(super().logs(request))


@caught("streams", "test_closing_a_watch_wakes_its_reader")
class DeafWatch(FakeSpawner):
    """A watch whose reader close() does not wake."""

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open it."""
        return Deaf(super().watch(request))


@caught("streams", "test_follow_ends_with_the_job")
class EndlessLog(FakeSpawner):
    """A log that does not end with its job."""

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open it."""
        return Endless(super().logs(request))


class _Log(FakeSpawner):
    """A log with other chunks."""

    def chunk(self, chunk: LogChunk) -> Iterable[LogChunk]:
        """Change one."""
        return [chunk]

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open it."""
        return Changed(super().logs(request), self.chunk)


@caught("streams", "test_a_log_resumes_at_every_cursor")
class LosesAtResume(_Log):
    """Goes on behind where it was."""

    def chunk(self, chunk: LogChunk) -> Iterable[LogChunk]:
        """Count one byte too many."""
        return [evolve(chunk, cursor=str(int(chunk.cursor or 0) + 1))]


@caught("streams", "test_a_log_resumes_at_every_cursor")
class DoublesAtResume(_Log):
    """Goes on at the beginning of the last chunk."""

    def chunk(self, chunk: LogChunk) -> Iterable[LogChunk]:
        """Count the chunk as unread."""
        return [evolve(chunk, cursor=str(int(chunk.cursor or 0) - len(chunk.data)))]


@caught("streams", "test_follow_of_a_quick_job_loses_nothing", "test_a_flood_is_whole")
class DoublesChunks(_Log):
    """Tells every chunk twice."""

    def chunk(self, chunk: LogChunk) -> Iterable[LogChunk]:
        """Repeat it."""
        return [chunk, chunk]


@caught("streams", "test_a_flood_is_whole")
class LosesLargeChunks(_Log):
    """Drops what comes too fast."""

    def chunk(self, chunk: LogChunk) -> Iterable[LogChunk]:
        """Cut it."""
        return [evolve(chunk, data=chunk.data[:60_000])]


@caught("streams", "test_streams_are_told_apart")
class MergesStreams(_Log):
    """Declares that it can tell the two streams apart, and cannot."""

    def chunk(self, chunk: LogChunk) -> Iterable[LogChunk]:
        """Call all of it stdout."""
        return [evolve(chunk, stream="stdout")]


class _Watch(FakeSpawner):
    """A watch with other events."""

    def event(self, event: WatchEvent) -> Iterable[WatchEvent]:
        """Change one."""
        return [event]

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open it."""
        return Changed(super().watch(request), self.event)


@caught("streams", "test_watch_lists_then_syncs")
class NeverSynced(_Watch):
    """Does not say when the list is over."""

    def event(self, event: WatchEvent) -> Iterable[WatchEvent]:
        """Leave that out."""
        return [] if isinstance(event, Synced) else [event]


@caught("streams", "test_watch_lists_then_syncs")
class SyncedFirst(FakeSpawner):
    """Says that the list is over before it has told it."""

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open it."""
        late: list[WatchEvent] = []
        synced = False

        def change(event: WatchEvent) -> Iterable[WatchEvent]:
            nonlocal synced
            if synced:
                return [event]
            late.append(event)
            synced = isinstance(event, Synced)
            return [late.pop(), *late] if synced else []

        return Changed(super().watch(request), change)


@caught("streams", "test_watch_tells_the_end_before_it_is_gone", bench=AutoRemoving)
class GoneFirst(FakeSpawner):
    """Tells that an object is gone, and then how it ended."""

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open it."""
        ends: dict[str, WatchEvent] = {}

        def change(event: WatchEvent) -> Iterable[WatchEvent]:
            if isinstance(event, JobSeen) and event.status.outcome is not None:
                ends[event.status.job_id] = event
                return []
            return [event, *([ends.pop(event.job_id)] if isinstance(event, JobGone) else [])]

        return Changed(super().watch(request), change)


@caught("streams", "test_watch_resumes")
class ForgetsCursors(FakeSpawner):
    """Declares that a watch resumes, and begins from now."""

    @hookimpl
    def watch(self, request: WatchRequest) -> Any:
        """Skip what happened meanwhile."""
        stream = super().watch(request)
        if request.cursor is None:
            return stream

        def change(event: WatchEvent) -> Iterable[WatchEvent]:
            return [event] if isinstance(event, Synced) else []

        return Changed(stream, change)

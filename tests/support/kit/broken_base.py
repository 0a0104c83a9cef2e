"""What broken spawners are made of; see ``broken_spawners``."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from attrs import evolve, field, frozen
from spawnery.contract import JobStream, hookimpl
from spawnery.model import JobGone, JobSeen, JobState, JobStatus, Outcome, WatchEvent
from spawnery.testing.fake import FakeSpawner
from spawnery.testing.fake.bench import FakeBench

T = TypeVar("T")
S = TypeVar("S", bound=type[FakeSpawner])


@frozen
class Broken:
    """A broken spawner, the promise that it breaks and the tests that must catch it."""

    promise: str
    tests: tuple[str, ...]
    spawner: type[FakeSpawner]
    bench: type[FakeBench] = field(default=FakeBench, kw_only=True)


BROKEN: Final[dict[str, Broken]] = {}


def caught(promise: str, *tests: str, bench: type[FakeBench] = FakeBench) -> Callable[[S], S]:
    """Register a spawner that each of these tests of the kit must catch."""

    def register(spawner: S) -> S:
        BROKEN[spawner.__name__] = Broken(promise, tests, spawner, bench=bench)
        return spawner

    return register


def success_of(status: JobStatus) -> JobStatus:
    """Make up the best of ends."""
    now = datetime.now(UTC)
    outcome = Outcome(
        state=JobState.SUCCEEDED,
        cause="exit.zero",
        exit_code=0,
        message="exit code 0",
        started_at=status.started_at or now,
        finished_at=now,
    )
    return evolve(status, state=outcome.state, outcome=outcome)


class Changed(JobStream[T]):
    """A stream with each item made into others."""

    def __init__(self, inner: JobStream[T], change: Callable[[T], Iterable[T]]) -> None:
        self._inner = inner
        self._change = change
        self._ready: collections.deque[T] = collections.deque()

    def __next__(self) -> T:
        while not self._ready:
            self._ready.extend(self._change(next(self._inner)))
        return self._ready.popleft()

    def close(self) -> None:
        """Close the one within."""
        self._inner.close()


def told_by(
    stream: JobStream[WatchEvent], told: Callable[[JobStatus], JobStatus]
) -> JobStream[WatchEvent]:
    """Change each status of a watch."""

    def change(event: WatchEvent) -> Iterable[WatchEvent]:
        seen = isinstance(event, JobSeen)
        yield evolve(event, status=told(event.status)) if seen else event  # type: ignore[union-attr]

    return Changed(stream, change)


def vanished_well(stream: JobStream[WatchEvent]) -> JobStream[WatchEvent]:
    """Tell of a success for each object that is gone."""
    last: dict[str, JobStatus] = {}

    def change(event: WatchEvent) -> Iterable[WatchEvent]:
        if isinstance(event, JobSeen):
            last[event.status.job_id] = event.status
        if isinstance(event, JobGone) and last[event.job_id].outcome is None:
            yield JobSeen(status=success_of(last[event.job_id]))
        yield event

    return Changed(stream, change)


class Lying(FakeSpawner):
    """A spawner that does what it should and tells it wrong, wherever it tells it."""

    def told(self, status: JobStatus) -> JobStatus:
        """Change what is told of a job."""
        return status if status.outcome is None else self.ended(status, status.outcome)

    def ended(self, status: JobStatus, outcome: Outcome) -> JobStatus:
        """Change what is told of an ended job."""
        changed = self.how(outcome)
        return evolve(status, outcome=changed, state=changed.state)

    def how(self, outcome: Outcome) -> Outcome:
        """Change how a job ended."""
        return outcome

    def _status(self, name: str) -> JobStatus | None:
        found = super()._status(name)
        return None if found is None else self.told(found)

    def _list(self) -> Sequence[JobStatus]:
        return [self.told(status) for status in super()._list()]

    @hookimpl
    def watch(self, request: Any) -> Any:
        """Follow all jobs, changed."""
        return told_by(super().watch(request), self.told)

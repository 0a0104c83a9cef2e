"""The fake engine: objects that "run" by the clock alone, no thread and no process behind them."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from spawnery.errors import JobRunning, NameConflict, SpecConflict
from spawnery.testing.fake.faultport import FakeFaults
from spawnery.testing.fake.home import FileHome, Home, MemoryHome
from spawnery.testing.fake.job import FakeJob, Phase
from spawnery.testing.fake.state import State

_KILL: Final = 9
_numbers = itertools.count(1)


class FakeEngine:
    """What runs the fake's jobs, with its back door for tests.

    Args:
        home: Where its state lives; this process when None.
        clock: Seconds since the epoch; with a clock of your own, call ``wake()`` after moving it.
        endpoint: Where it is reached; one of its own when None.
        place_id: What it calls itself. None: it does not tell.

    Attributes:
        faults: Its ``FaultPort``.
        endpoint, place_id: As above; a test may change them at any time.
    """

    def __init__(
        self,
        home: Home | None = None,
        *,
        clock: Callable[[], float] = time.time,
        endpoint: str | None = None,
        place_id: str | None = None,
    ) -> None:
        self._home = home or MemoryHome()
        self.clock = clock
        self.endpoint = endpoint or f"{os.getpid()}-{next(_numbers)}"
        self.place_id = place_id
        self.faults = FakeFaults()

    @contextmanager
    def state(self) -> Iterator[tuple[State, float]]:
        """Hold the state, brought up to now."""
        with self._home.state() as state:
            now = self.clock()
            state.advance(now)
            yield state, now

    def wait(self, until: Callable[[State], bool], *, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        with self._home.state() as state:
            due = state.next_due()
        left = seconds if due is None else min(seconds, max(0.0, due - self.clock()))
        self._home.wait(left, until)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._home.wake()

    # -- what its clients ask for ------------------------------------------------------------

    def create(self, wanted: FakeJob) -> tuple[FakeJob, bool]:
        """Make an object, or return the one that is there: (object, made).

        Raises:
            NameConflict: The name is taken by an object of somebody else.
            SpecConflict: It is taken by the same job with another spec.
        """
        with self.state() as (state, now):
            there = state.jobs.get(wanted.name)
            if there is None:
                made = evolve(wanted, engine_id=state.next_id(), created_at=now)
                state.add(made, now)
                return made, True
            if there.job_id != wanted.job_id or there.instance != wanted.instance:
                msg = f"the name {wanted.name} is taken by {there.engine_id}, which is not ours"
                hint = "choose another job id, or another prefix: export SPAWNERY_NAME_PREFIX=..."
                raise NameConflict(msg, hint=hint, job_id=wanted.job_id)
            if there.spec_hash != wanted.spec_hash:
                msg = f"{wanted.name} exists with another spec ({there.spec_hash})"
                raise SpecConflict(msg, job_id=wanted.job_id, hint="choose another job id")
            return there, False

    def start(self, name: str, engine_id: str, *, owner: str, follow: bool) -> None:
        """Start an object that was never started; otherwise nothing happens."""
        with self.state() as (state, now):
            job = state.jobs.get(name)
            if job is None or job.engine_id != engine_id or job.job_id is None:
                return
            if job.launched_at is not None or job.stopped_at is not None:
                return
            job.launched_at, job.owner, job.follow = now, owner, follow
            state.starts[job.job_id] = state.starts.get(job.job_id, 0) + 1
            state.touch(job, now)

    def stop(
        self, name: str, instance: str, *, grace_seconds: float, engine_id: str | None = None
    ) -> None:
        """Send SIGTERM now and SIGKILL after the grace; to the object of that id only, if given."""
        with self.state() as (state, now):
            job = state.jobs.get(name)
            if job is None or job.instance != instance or engine_id not in {None, job.engine_id}:
                return
            if job.phase(now) is Phase.RUNNING:
                if grace_seconds > 0:
                    job.signals.append([now, 15, 0])
                job.signals.append([now + grace_seconds, _KILL, 0])
            elif job.phase(now) is not Phase.ENDED:
                job.stopped_at = now
            state.touch(job, now)

    def remove(self, name: str, instance: str, *, engine_id: str | None = None) -> None:
        """Remove an object that does not run, the one of this id if one is given.

        Raises:
            JobRunning: It runs.
        """
        with self.state() as (state, now):
            job = state.jobs.get(name)
            if job is None:
                state.forget(name, instance, engine_id)
            if job is None or job.instance != instance or engine_id not in {None, job.engine_id}:
                return
            if job.phase(now) not in {Phase.CREATED, Phase.ENDED}:
                msg = f"{name} is {job.phase(now)}"
                raise JobRunning(msg, job_id=job.job_id)
            state.drop(job, ghost=True)

    # -- the back door -----------------------------------------------------------------------

    def objects(self) -> set[str]:
        """Return the names of all objects."""
        with self.state() as (state, _):
            return set(state.jobs)

    def look(self, name: str) -> Mapping[str, Any] | None:
        """Return what an object carries beside its labels (image, network, resources, env, ...)."""
        with self.state() as (state, _):
            job = state.jobs.get(name)
            if job is None:
                return None
            return {**job.carried, "labels": dict(job.labels), "env": dict(job.env)}

    def starts(self, job_id: str) -> int:
        """Return how often a job was started."""
        with self.state() as (state, _):
            return state.starts.get(job_id, 0)

    def plant(self, name: str, words: Sequence[str] = ("sleep:1e9",)) -> None:
        """Put an object of somebody else there, running."""
        with self.state() as (state, now):
            job = FakeJob(
                name=name,
                engine_id=state.next_id(),
                created_at=now,
                launched_at=now,
                words=list(words),
            )
            state.add(job, now)

    def remove_outside(self, name: str) -> None:
        """Remove an object as somebody else would, without a trace of how it ended."""
        with self.state() as (state, _):
            job = state.jobs.get(name)
            if job is not None:
                state.drop(job, ghost=False)

    def kill_outside(self, name: str, signal: int = _KILL) -> None:
        """Send a signal as somebody else would."""
        with self.state() as (state, now):
            job = state.jobs.get(name)
            if job is not None:
                job.signals.append([now, signal, 1])
                state.touch(job, now)

    def alive(self, name: str) -> bool:
        """Tell whether an object is there and runs."""
        with self.state() as (state, now):
            job = state.jobs.get(name)
            return job is not None and job.phase(now) is Phase.RUNNING


_named: dict[str, FakeEngine] = {}
_naming = threading.Lock()


def engine_at(where: str) -> FakeEngine:
    """Return the engine of a path (a file that processes share) or of a word (this process).

    The same one for every caller in this process.
    """
    is_file = "/" in where
    key = str(Path(where).absolute()) if is_file else where
    with _naming:
        if key not in _named:
            home = FileHome(Path(key)) if is_file else None
            _named[key] = FakeEngine(home, endpoint=key, place_id=f"id of {key}")
        return _named[key]


def forget_engine(where: str) -> None:
    """Let go of an engine of this process, for tests that make many."""
    with _naming:
        _named.pop(where, None)

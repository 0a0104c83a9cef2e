"""The fake's hooks."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

from spawnery.contract.declaration import SpawnerRuntime
from spawnery.contract.hookspecs import hookimpl
from spawnery.contract.requests import (
    CheckItem,
    Deadline,
    HookContext,
    LogsRequest,
    Place,
    Plan,
    PlanRequest,
    RemoveRequest,
    SpawnRequest,
    StopRequest,
    WatchRequest,
)
from spawnery.contract.streams import JobStream
from spawnery.errors import Ambiguous, EngineError, EngineTimeout, SpawnerError, SpawnFailed
from spawnery.model.job import JobSpec, Network
from spawnery.model.outcome import JobHandle, JobStatus, LogChunk, WatchEvent
from spawnery.testing.fake.engine import FakeEngine
from spawnery.testing.fake.job import Phase, status_of
from spawnery.testing.fake.options import FakeSettings
from spawnery.testing.fake.state import State
from spawnery.testing.fake.streams import FakeWatch, open_log
from spawnery.testing.fake.translate import job_of, planned, refuse_missing, refuse_start

T = TypeVar("T")

_numbers = itertools.count(1)
_PAUSE: Final = 5.0
_PLACE_SECONDS: Final = 2.0
_CREATED_ONLY: Final = frozenset({Phase.CREATED})


class FakeSpawner:
    """Drives a fake engine.

    Args:
        engine: The engine.
        settings: The fake's settings.
        runtime: The host.
    """

    def __init__(self, engine: FakeEngine, settings: FakeSettings, runtime: SpawnerRuntime) -> None:
        self.engine = engine
        self._settings = settings
        self._runtime = runtime
        self._instance = runtime.instance
        self._owner = f"{os.getpid()}-{next(_numbers)}"

    def _call(
        self, point: str, name: str, act: Callable[[], T], deadline: Deadline | None = None
    ) -> T:
        limit = deadline or Deadline.after(self._runtime.io_timeout_seconds)
        result = self.engine.faults.call(point, name, act, limit)
        self._read_clock()
        return result

    def _read_clock(self) -> None:
        sent = time.monotonic()
        said = datetime.fromtimestamp(self.engine.clock(), UTC)
        received = time.monotonic()
        self._runtime.engine_clock.read(said, sent=sent, received=received, resolution=0.0)

    @hookimpl
    def place(self) -> Place:
        """Say which engine it is; without an id while the engine does not answer."""
        endpoint = f"fake:{self._settings.endpoint or self.engine.endpoint}"
        limit = Deadline.after(_PLACE_SECONDS)
        try:
            found = self._call("place", "", lambda: self.engine.place_id, limit)
        except SpawnerError:
            found = None
        return Place(endpoint=endpoint, id=found)

    @hookimpl
    def resolve_network(self, job: JobSpec, context: HookContext) -> Network:
        """Name the one network that the fake engine has."""
        return Network(name="fake", source="the fake engine's only network")

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make the object, then start it; see the hook's contract."""
        refuse_missing(request)
        wanted = job_of(request, instance=self._instance, auto_remove=self._settings.auto_remove)
        _hang(request, "create")
        job, made = self._call(
            "create", request.name, lambda: self.engine.create(wanted), request.deadline
        )
        handle = JobHandle(
            job_id=request.job.job_id,
            name=job.name,
            engine_id=job.engine_id,
            created=made,
            record_id=job.record_id,
        )
        if job.launched_at is None:
            self._start(request, job.engine_id)
        return handle

    def _start(self, request: SpawnRequest, engine_id: str) -> None:
        try:
            request.created(engine_id)
            refuse_start(request)
            _hang(request, "start")
        except SpawnFailed:
            self.engine.remove(request.name, self._instance, engine_id=engine_id)
            raise
        self._call(
            "start",
            request.name,
            lambda: self.engine.start(
                request.name, engine_id, owner=self._owner, follow=request.follow
            ),
            request.deadline,
        )

    @hookimpl
    def status(self, job_id: str) -> JobStatus | None:
        """Look at one job."""
        name = self._runtime.object_name(job_id)
        return self._call("status", name, lambda: self._status(name))

    def _status(self, name: str) -> JobStatus | None:
        with self.engine.state() as (state, now):
            job = state.jobs.get(name)
            if job is None or job.instance != self._instance:
                return None
            return status_of(job, now)

    @hookimpl
    def list_jobs(self) -> Sequence[JobStatus]:
        """Look at all jobs of the instance."""
        return self._call("list", "", self._list)

    def _list(self) -> Sequence[JobStatus]:
        with self.engine.state() as (state, now):
            ours = (job for job in state.jobs.values() if job.instance == self._instance)
            return [status_of(job, now) for job in ours]

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Follow all jobs of the instance."""

        def watch() -> FakeWatch:
            return FakeWatch(
                self.engine, instance=self._instance, owner=self._owner, cursor=request.cursor
            )

        return self._call("watch", "", watch)

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open the log of a job."""
        return self._call(
            "logs",
            request.name,
            lambda: open_log(
                self.engine,
                request.name,
                instance=self._instance,
                owner=self._owner,
                cursor=request.cursor,
                follow=request.follow,
                since=request.since,
                tail_bytes=request.tail_bytes,
            ),
            request.deadline,
        )

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """End a job, and wait until it has ended."""
        self._call(
            "stop",
            request.name,
            lambda: self.engine.stop(
                request.name,
                self._instance,
                grace_seconds=request.grace_seconds,
                engine_id=request.engine_id,
            ),
            request.deadline,
        )
        while self._runs(request.name, request.engine_id):
            if request.deadline.expired:
                msg = f"{request.name} still runs"
                raise Ambiguous(msg, job_id=request.job_id)
            self.engine.wait(_never, seconds=min(_PAUSE, request.deadline.remaining()))

    def _runs(self, name: str, engine_id: str | None) -> bool:
        with self.engine.state() as (state, now):
            job = state.jobs.get(name)
            return (
                job is not None
                and job.instance == self._instance
                and engine_id in {None, job.engine_id}
                and job.phase(now) not in {Phase.CREATED, Phase.ENDED}
            )

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Remove an object of ours."""
        self._call(
            "remove",
            request.name,
            lambda: self.engine.remove(request.name, self._instance, engine_id=request.engine_id),
            request.deadline,
        )

    @hookimpl
    def plan(self, request: PlanRequest) -> Plan:
        """Show the object that would be made."""
        problems: list[str] = []
        for look in (refuse_missing, refuse_start) if request.validate else ():
            try:
                look(request.spawn)
            except SpawnFailed as error:
                problems.append(error.message)
        return Plan(
            engine_object=planned(request),
            notes=("the fake engine runs no program: it reads the command as a script",),
            problems=tuple(problems),
        )

    @hookimpl
    def check(self) -> Sequence[CheckItem]:
        """Say how the fake engine is."""
        where = self._settings.engine or "this process"
        try:
            jobs = self._call("list", "", self._list)
        except EngineError as error:
            return [CheckItem(name="engine", level="failed", detail=error.message, hint=error.hint)]
        except (OSError, ValueError, SpawnerError) as error:
            hint = "remove the file, or name another one: export SPAWNERY_FAKE_ENGINE=..."
            return [CheckItem(name="engine", level="failed", detail=f"{where}: {error}", hint=hint)]
        return [CheckItem(name="engine", detail=f"in {where}, {len(jobs)} jobs of ours")]

    def close(self) -> None:
        """Nothing to let go of: the engine lives on."""


def _hang(request: SpawnRequest, step: str) -> None:
    """Let the engine not answer for a while, where the job's script says so.

    Raises:
        SpawnFailed: The job was stopped meanwhile.
        EngineTimeout: The time limit was over.
    """
    options = request.options
    if options is None or options.hang_before != step:
        return
    job_id = request.job.job_id
    if request.cancellation.wait(min(options.hang_seconds, request.deadline.remaining())):
        msg = f"cancelled while waiting for the fake engine to {step} {request.name}"
        raise SpawnFailed(msg, cause="cancelled", job_id=job_id)
    if request.deadline.expired:
        msg = f"the fake engine did not {step} {request.name} in time"
        raise EngineTimeout(msg, job_id=job_id)


def _never(_state: State) -> bool:
    return False

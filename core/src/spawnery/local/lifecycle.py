"""The life of jobs as callers drive it: spawn, look, stop, remove."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spawnery.contract.declaration import SpawnerRuntime
from spawnery.contract.requests import RemoveRequest, SpawnRequest, StopRequest
from spawnery.errors import (
    EngineTimeout,
    JobRunning,
    NameConflict,
    SpawnFailed,
    SpecConflict,
    StateError,
)
from spawnery.local import client
from spawnery.local.settings import LocalSettings
from spawnery.local.state.facts import Facts
from spawnery.local.state.store import Store
from spawnery.local.status import record_id_of, status_of
from spawnery.local.system import files
from spawnery.local.system.clocks import Clocks, Moment
from spawnery.local.system.locks import Held
from spawnery.local.translate import argv_of, order_of, record_of
from spawnery.model.outcome import JobGone, JobHandle, JobStatus

_PAUSE: Final = 0.02
_SETTLE_SECONDS: Final = 2.0
_REMEMBERED: Final = 1000
"""Jobs that were removed and may not have been told of yet: watches look several times a second."""


class Lifecycle:
    """What happens to jobs.

    Args:
        store: The folders.
        settings: Ours.
        runtime: Of the host.
    """

    def __init__(self, store: Store, settings: LocalSettings, runtime: SpawnerRuntime) -> None:
        self._store = store
        self._settings = settings
        self._runtime = runtime
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        self._removed: collections.deque[JobStatus] = collections.deque(maxlen=_REMEMBERED)
        self._removals = 0
        self._shown: dict[str, JobGone] = {}
        self.clocks = Clocks()
        self.now()

    def now(self) -> Moment:
        """Read the clocks of this machine, and let core know the time."""
        sent = time.monotonic()
        moment = self.clocks.now()
        received = time.monotonic()
        present = datetime.fromtimestamp(moment.steady, UTC)
        self._runtime.engine_clock.read(present, sent=sent, received=received, resolution=1e-6)
        return moment

    # -- spawn -------------------------------------------------------------------------------

    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make the job's folder and start its supervisor, or adopt what is there."""
        handle = self._spawn(request)
        self._shown[handle.name] = JobGone(
            job_id=handle.job_id, engine_id=handle.engine_id, record_id=handle.record_id
        )
        return handle

    def _spawn(self, request: SpawnRequest) -> JobHandle:
        argv_of(request.job)
        self._store.ensure()
        self._store.sweep()
        while True:
            _refuse_cancelled(request)
            facts = self._store.read(request.name)
            if facts is None:
                record = record_of(
                    request,
                    self._settings,
                    instance=self._runtime.instance,
                    now=self.now(),
                )
                held = self._store.claim(request.name, record)
                if held is not None:
                    return self._start(held, record, request, created=True)
                continue
            _same_spec(facts, request)
            if facts.launched or facts.exit is not None:
                return _handle(facts.job, created=False)
            held = self._store.hold(request.name)
            if held is not None:
                return self._resume(held, request)
            if request.deadline.expired:
                msg = f"another process has been starting job {request.job.job_id} for too long"
                raise EngineTimeout(msg, job_id=request.job.job_id)
            request.cancellation.wait(_PAUSE)

    def _resume(self, held: Held, request: SpawnRequest) -> JobHandle:
        """Go on where somebody died between the claim and the start."""
        with held:
            facts = self._store.read(request.name)
            if facts is None or facts.launched or facts.exit is not None:
                held.close()
                return self._spawn(request)
            return self._start(held, facts.job, request, created=False)

    def _start(
        self, held: Held, record: Mapping[str, Any], request: SpawnRequest, *, created: bool
    ) -> JobHandle:
        job_id = request.job.job_id
        with held:
            try:
                request.created(record["nonce"])
                order = order_of(
                    request,
                    record,
                    self._runtime.environ,
                    self._settings,
                    now=self.now(),
                )
                _refuse_cancelled(request)
                problem = client.supervise(
                    held,
                    order,
                    deadline=request.deadline,
                    cancellation=request.cancellation,
                    job_id=job_id,
                )
            except SpawnFailed:
                if created:
                    self._store.discard(held)
                raise
            if problem is not None and not (held.folder / files.LAUNCHED).exists():
                if created:
                    self._store.discard(held)
                msg = f"the supervisor of job {job_id} failed: {problem}"
                raise SpawnFailed(msg, cause="start.failed", job_id=job_id)
        return _handle(record, created=created)

    # -- look --------------------------------------------------------------------------------

    def status(self, name: str) -> JobStatus | None:
        """Return the status of a job, None where there is no folder of ours."""
        try:
            facts = self.facts(name)
        except NameConflict:
            return None
        if facts is None:
            return None
        status = status_of(facts, self.now())
        self._shown[name] = JobGone(
            job_id=status.job_id, engine_id=status.engine_id, record_id=status.record_id
        )
        return status

    def list_jobs(self) -> list[JobStatus]:
        """Return the status of all jobs; a folder that cannot be read is told and left out."""
        self._store.sweep()
        found = []
        for name, _ in self._store.names():
            status = self.glance(name)
            if status is not None:
                found.append(status)
        return found

    def glance(self, name: str) -> JobStatus | None:
        """Like ``status``, for lists: a damaged folder must not hide the others."""
        try:
            return self.status(name)
        except StateError as error:
            if error.cause != "state.corrupt":
                raise
            if error.message not in self._warned:
                self._warned.add(error.message)
                self._runtime.logger.warning("%s", error.message)
            return None

    def facts(self, name: str) -> Facts | None:
        """Read the folder of a job; one whose supervisor died is brought to its end first."""
        facts = self._store.read(name)
        if facts is None or not facts.lost:
            return facts
        self._settle(name)
        return self._store.read(name)

    def _settle(self, name: str) -> None:
        """Write the end of a job for which nobody acts any more, and end what is left of it."""
        held = self._store.hold(name, seconds=_SETTLE_SECONDS)
        if held is None:
            return
        with held:
            facts = self._store.read(name)
            if facts is None or facts.exit is not None:
                return
            now = self.now()
            end: files.Flat = {**now.facts("finished")}
            if facts.launched:
                gone = client.end_leftovers(facts.job, facts.started)
                started = now.wall_time(facts.started or {}, "started")
                end |= {"lost": True, "left": not gone, "started_at": started}
                end["earlier_boot"] = facts.job.get("boot", now.boot) != now.boot
            elif facts.stop is not None:
                end |= {"reason": facts.stop[0], "never_started": True}
            else:
                return
            self._store.write(name, files.EXIT, files.encode(end))

    def _note(self, status: JobStatus) -> None:
        with self._lock:
            self._removed.append(status)
            self._removals += 1

    def shown(self) -> dict[str, JobGone]:
        """Return what was told of by any hook here, as it is to be told when it is gone."""
        return dict(self._shown)

    def forget_shown(self, name: str, gone: JobGone) -> None:
        """Forget what was told to be gone, unless the name was told of again since."""
        if self._shown.get(name) == gone:
            self._shown.pop(name, None)

    def removed(self, since: int) -> tuple[int, list[JobStatus]]:
        """Return how many ended jobs were removed here ever, and those since so many were."""
        with self._lock:
            new = self._removals - since
            return self._removals, list(self._removed)[-new:] if new else []

    # -- stop and remove ---------------------------------------------------------------------

    def stop(self, request: StopRequest) -> None:
        """Ask the supervisor to end the job and wait for it; see the hook."""
        asked = False
        while True:
            try:
                facts = self.facts(request.name)
            except NameConflict:
                return
            if facts is None or facts.exit is not None:
                return
            if request.engine_id not in {None, facts.engine_id}:
                return
            # An order with a longer grace may have been written over ours: both saw none before.
            if not asked or facts.stop is None or facts.stop[1] > request.grace_seconds:
                self._ask(facts, request)
                asked = True
            elif not facts.locked:
                self._settle(request.name)
                continue
            if request.deadline.expired:
                msg = f"job {request.job_id} did not end in time after it was asked to stop"
                raise EngineTimeout(msg, job_id=request.job_id)
            time.sleep(_PAUSE)

    def _ask(self, facts: Facts, request: StopRequest) -> None:
        """Write the order to stop, before looking who is there to read it."""
        reason, grace = request.reason, request.grace_seconds
        if facts.stop is not None:
            reason, grace = facts.stop[0], min(grace, facts.stop[1])
        self._store.write_stop(facts, reason, grace)
        client.nudge(facts.folder)

    def remove(self, request: RemoveRequest) -> None:
        """Remove the folder of a job that does not run; see the hook."""
        while True:
            try:
                facts = self.facts(request.name)
            except NameConflict:
                return
            if facts is None or request.engine_id not in {None, facts.engine_id}:
                return
            held = self._store.hold(request.name)
            if held is not None and self._store.engine_id(held) != facts.engine_id:
                held.close()
                continue  # somebody else removed it and made another one
            if held is not None:
                # Noted before the folder goes: who does not find it any more finds this.
                if facts.exit is not None:
                    self._note(status_of(facts, self.now()))
                self._store.discard(held)
                return
            if not facts.folder.exists():
                continue  # somebody else removes it, maybe from under our reading of it
            if facts.exit is None:
                msg = f"job {request.job_id} still runs"
                hint = f"stop it first: spawnery stop {request.job_id}"
                raise JobRunning(msg, hint=hint, job_id=request.job_id)
            if request.deadline.expired:
                msg = f"the supervisor of job {request.job_id} did not let go in time"
                raise EngineTimeout(msg, job_id=request.job_id)
            time.sleep(_PAUSE)


def _refuse_cancelled(request: SpawnRequest) -> None:
    """Start nothing of a job that was stopped.

    Raises:
        SpawnFailed: It was.
    """
    if request.cancellation.requested:
        msg = f"cancelled before the program of job {request.job.job_id} was started"
        raise SpawnFailed(msg, cause="cancelled", job_id=request.job.job_id)


def _same_spec(facts: Facts, request: SpawnRequest) -> None:
    if facts.job["spec_hash"] == request.spec_hash:
        return
    job_id = request.job.job_id
    msg = (
        f"job {job_id} exists with another spec"
        f" (hash {facts.job['spec_hash']}, asked for {request.spec_hash})"
    )
    hint = f"choose another job id, or remove that job: spawnery rm {job_id}"
    raise SpecConflict(msg, hint=hint, job_id=job_id)


def _handle(record: Mapping[str, Any], *, created: bool) -> JobHandle:
    return JobHandle(
        job_id=record["job_id"],
        name=record["name"],
        engine_id=record["nonce"],
        created=created,
        record_id=record_id_of(record),
    )

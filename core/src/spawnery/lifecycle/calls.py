"""The typed way to the spawner's hooks: time limits, checked return values, mapped exceptions."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from attrs import frozen

from spawnery.contract.records import Record
from spawnery.contract.requests import (
    CheckItem,
    Deadline,
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
from spawnery.errors import Ambiguous, EngineTimeout, SpawnerError
from spawnery.model.outcome import JobHandle, JobStatus, KillReason, LogChunk, WatchEvent
from spawnery.model.secret import Masker

if TYPE_CHECKING:
    import pluggy

    from spawnery.toolkit.workers import Workers

T = TypeVar("T")

_SLACK_SECONDS: Final = 2.0
"""How much longer than its own limit a hook may take to say that the limit is over."""
_PLACE_SECONDS: Final = 5.0
"""The contract of ``place``: it returns within a few seconds, also when the engine hangs."""
_AMBIGUOUS: Final = frozenset({"spawn", "stop", "remove"})
"""When one of these does not answer, it may still have acted."""


class Engine:
    """Calls the one spawner.

    Args:
        manager: pluggy's manager with the spawner registered.
        name: The spawner's name, for messages.
        workers: Where hooks run.
        stops: Where ``stop`` runs, which waits out the grace of a job: many of them at once must
            not keep the other hooks waiting.
        io_timeout: Limit in seconds for calls whose request carries none.
        masker: Masks what errors say.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        *,
        name: str,
        workers: Workers,
        stops: Workers,
        io_timeout: float,
        masker: Masker,
    ) -> None:
        self._hook = manager.hook
        self.name = name
        self._workers = workers
        self._stops = stops
        self._io_timeout = io_timeout
        self._masker = masker

    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Call the hook ``spawn``, in the caller's own thread.

        A thread more would be most of what a spawn costs here, and to abandon a spawn would only
        make it ambiguous: keeping to ``request.deadline`` is the spawner's part.
        """
        job_id = request.job.job_id
        with self._boundary("spawn", job_id):
            handle = self._hook.spawn(request=request)
        handle = self._expect("spawn", handle, JobHandle, job_id)
        if handle.job_id != job_id or handle.name != request.name:
            self._broken("spawn", f"it returned the handle of {handle.job_id}", job_id)
        return handle

    def status(self, job_id: str) -> JobStatus | None:
        """Call the hook ``status``."""
        call = functools.partial(self._hook.status, job_id=job_id)
        found = self._call("status", call, self._limit(), job_id)
        if found is None:
            return None
        status = self._expect("status", found, JobStatus, job_id)
        if status.job_id != job_id:
            self._broken("status", f"it returned the status of {status.job_id}", job_id)
        return status

    def present(self, job_id: str) -> JobStatus | None:
        """Look at a job that nobody remembers; an end counts only while its object is there.

        A spawner may still know how an object ended that is gone, which is evidence for a record
        and makes none.
        """
        status = self.status(job_id)
        if status is None or status.outcome is None:
            return status
        there = {item.engine_id for item in self.list_jobs() if item.job_id == job_id}
        return status if status.engine_id in there else None

    def list_jobs(self) -> Sequence[JobStatus]:
        """Call the hook ``list_jobs``."""
        found = self._call("list_jobs", self._hook.list_jobs, self._limit(), None)
        if not isinstance(found, Sequence):
            self._broken("list_jobs", f"it returned a {type(found).__name__}, not a list", None)
        for item in found:
            self._expect("list_jobs", item, JobStatus, None)
        return list(found)

    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Call the hook ``watch``."""
        call = functools.partial(self._hook.watch, request=request)
        stream: JobStream[WatchEvent] = self._call("watch", call, self._limit(), None)
        return self._stream("watch", stream, None)

    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Call the hook ``logs``."""
        call = functools.partial(self._hook.logs, request=request)
        stream: JobStream[LogChunk] = self._call("logs", call, request.deadline, request.job_id)
        return self._stream("logs", stream, request.job_id)

    def stop(self, request: StopRequest) -> None:
        """Call the hook ``stop`` and wait for it."""
        limit = request.deadline.remaining() + _SLACK_SECONDS
        call = functools.partial(self._hook.stop, request=request)
        with self._boundary("stop", request.job_id):
            self._stops.call(call, timeout=limit)

    def begin_stop(self, request: StopRequest) -> Future[None]:
        """Call the hook ``stop`` without waiting; the future has its error, if any."""

        def stop() -> None:
            with self._boundary("stop", request.job_id):
                self._hook.stop(request=request)

        return self._stops.submit(stop)

    def remove(self, request: RemoveRequest) -> None:
        """Call the hook ``remove``."""
        call = functools.partial(self._hook.remove, request=request)
        self._call("remove", call, request.deadline, request.job_id)

    def plan(self, request: PlanRequest) -> Plan:
        """Call the hook ``plan``."""
        job_id = request.spawn.job.job_id
        call = functools.partial(self._hook.plan, request=request)
        return self._expect("plan", self._call("plan", call, self._limit(), job_id), Plan, job_id)

    def check(self) -> Sequence[CheckItem]:
        """Call the hook ``check``."""
        items = self._call("check", self._hook.check, self._limit(), None)
        if not isinstance(items, Sequence):
            self._broken("check", f"it returned a {type(items).__name__}, not a list", None)
        return [self._expect("check", item, CheckItem, None) for item in items]

    def place(self) -> Place:
        """Call the hook ``place``, which only a spawner with that capability has."""
        found = self._call("place", self._hook.place, Deadline.after(_PLACE_SECONDS), None)
        return self._expect("place", found, Place, None)

    def close(self) -> None:
        """Let the threads of hooks end; one that hangs in a hook is left to itself."""
        self._workers.close()
        self._stops.close()

    def limit(self, extra: float = 0.0) -> Deadline:
        """Return the I/O limit of a call that begins now, ``extra`` seconds later."""
        return Deadline.after(self._io_timeout + extra)

    def _limit(self) -> Deadline:
        return self.limit()

    def _call(
        self, verb: str, call: Callable[[], Any], deadline: Deadline, job_id: str | None
    ) -> Any:
        with self._boundary(verb, job_id):
            return self._workers.call(call, timeout=deadline.remaining() + _SLACK_SECONDS)

    @contextlib.contextmanager
    def _boundary(self, verb: str, job_id: str | None) -> Iterator[None]:
        """Let nothing out but our own errors, masked."""
        try:
            yield
        except SpawnerError as error:
            raise self.cleaned(error, job_id) from error.__cause__
        except TimeoutError as error:
            msg = f"the spawner {self.name} did not answer {verb} in time ({error})"
            raise EngineTimeout(msg, job_id=job_id) from None
        except Exception as error:  # noqa: BLE001 - nothing foreign crosses the boundary
            raise self.foreign(verb, error, job_id) from None

    def cleaned(self, error: SpawnerError, job_id: str | None) -> SpawnerError:
        """Mask what an error says and give it the job id."""
        error.message = self._masker.mask(error.message)
        error.args = (error.message,)
        error.hint = self._masker.mask(error.hint) if error.hint else None
        error.job_id = error.job_id or job_id
        return error

    def foreign(self, verb: str, error: Exception, job_id: str | None) -> SpawnerError:
        """Say in our words that something which is no ``SpawnerError`` came out of a plugin."""
        kind = Ambiguous if verb in _AMBIGUOUS else SpawnerError
        text = self._masker.mask(str(error))
        where = _where(error)
        return kind(
            f"the spawner {self.name} failed in {verb}: {type(error).__name__}: {text} ({where})",
            cause="plugin.bug",
            hint=f"this is a bug of the spawner plugin {self.name}: report it to its authors",
            job_id=job_id,
            retryable=False,
        )

    def _expect(self, verb: str, value: Any, kind: type[T], job_id: str | None) -> T:
        if not isinstance(value, kind):
            what = f"it returned a {type(value).__name__}, not a {kind.__name__}"
            self._broken(verb, what, job_id)
        return value

    def _stream(self, verb: str, value: JobStream[T], job_id: str | None) -> JobStream[T]:
        if not isinstance(value, JobStream):
            what = f"it returned a {type(value).__name__}, not a JobStream"
            self._broken(verb, what, job_id)
        return value

    def _broken(self, verb: str, what: str, job_id: str | None) -> NoReturn:
        kind = Ambiguous if verb in _AMBIGUOUS else SpawnerError
        msg = f"the spawner {self.name} broke its contract in {verb}: {what}"
        raise kind(
            msg,
            cause="plugin.bug",
            hint=f"this is a bug of the spawner plugin {self.name}: report it to its authors",
            job_id=job_id,
            retryable=False,
        )


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "no traceback"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


@frozen(kw_only=True)
class Ending:
    """Ends jobs.

    Attributes:
        engine: The spawner.
        grace_seconds: How long a job has after SIGTERM where nobody says otherwise.
    """

    engine: Engine
    grace_seconds: float

    def _request(
        self, job: Record | JobStatus, reason: KillReason, grace: float | None
    ) -> StopRequest:
        grace = self.grace_seconds if grace is None else grace
        return StopRequest(
            job_id=job.job_id,
            name=job.name,
            engine_id=job.engine_id,
            reason=reason,
            grace_seconds=grace,
            deadline=self.engine.limit(grace),
        )

    def stop(
        self, job: Record | JobStatus, reason: KillReason, *, grace: float | None = None
    ) -> None:
        """End a job and wait for it; the reason is recorded already."""
        self.engine.stop(self._request(job, reason, grace))

    def begin_stop(self, job: Record | JobStatus, reason: KillReason) -> Future[None]:
        """End a job without waiting for it; see ``Engine.begin_stop``."""
        return self.engine.begin_stop(self._request(job, reason, None))

    def remove(self, job: Record | JobStatus) -> None:
        """Remove the object of a job that has ended or never ran."""
        request = RemoveRequest(
            job_id=job.job_id,
            name=job.name,
            engine_id=job.engine_id,
            deadline=self.engine.limit(),
        )
        self.engine.remove(request)

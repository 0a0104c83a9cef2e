"""Tells on stderr what a job waits for before its program runs, once for each change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from attrs import evolve

from spawnery.cli.printing import ages, fields
from spawnery.model.outcome import JobState

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.contract.streams import JobStream
    from spawnery.model.outcome import JobStatus
    from spawnery.spawner import Spawner

_AFTER_SECONDS: Final = 1.5
"""A reason that is gone again by then is not worth a line: every job is scheduled, for example."""
_WAITING: Final = frozenset({JobState.QUEUED, JobState.PENDING})


def sentence(app: App, status: JobStatus) -> str:
    """Return one line on what a job waits for; empty where nobody says it."""
    if not status.message and not status.cause:
        return ""
    why = f": {fields.message(app, _why(status))}" if status.message else ""
    cause = f" [{status.cause}]" if status.cause else ""
    state = "is held back" if status.state is JobState.QUEUED else "waits to start"
    return f"{status.job_id} {state}{why}{cause}"


def _why(status: JobStatus) -> str:
    """Return the message, with how far it is and since when."""
    far = "" if status.progress is None else f", {status.progress}"
    since = "" if status.since is None else f", since {ages.clock(status.since)}"
    said = status.message or ""
    return f"{said.rstrip('.') if far or since else said}{far}{since}"


class Waiting:
    """While entered, says what a job waits for as soon as it has waited for a moment.

    Args:
        app: Decides whether anything is said at all.
        spawner: Its watch tells of changes.
        job_id: The job.
        say: Prints a line.
    """

    def __init__(
        self, app: App, spawner: Spawner, job_id: str, *, say: Callable[[str], None] | None = None
    ) -> None:
        self._app = app
        self._silent = app.quiet or app.json
        self._spawner = spawner
        self._job_id = job_id
        self._say = say or app.talk
        self._lock = threading.Lock()
        self._stream: JobStream[JobStatus] | None = None
        self._timer: threading.Timer | None = None
        self._now: JobStatus | None = None
        self._said = ""
        self._hint = ""
        self._over = False
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        if not self._silent:
            with self._lock:
                self._later(self._watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say nothing more: the job's own output or its end follows. Any thread, any time."""
        with self._lock:
            self._over = True
            self._closed.set()
            timer, self._timer = self._timer, None
            stream, self._stream = self._stream, None
        if timer is not None:
            timer.cancel()
        if stream is not None:
            stream.close()

    def _later(self, call: Callable[[], None]) -> None:
        self._timer = threading.Timer(_AFTER_SECONDS, call)
        self._timer.daemon = True
        self._timer.start()

    def _watch(self) -> None:
        """Look at the job, and follow it when it waits; in a thread of its own."""
        try:
            status = self._spawner.status(self._job_id)
            if status.state not in _WAITING:
                return
            status = self._until_launched(status)
            stream = self._spawner.watch()
            with self._lock:
                self._timer, self._now = None, status
                over, self._stream = self._over, stream
            if over:
                stream.close()
            self._tell()
            for change in stream:
                if change.job_id == self._job_id:
                    self._take(change)
        except Exception:  # noqa: BLE001 - who waits for the job tells what is wrong with the engine
            return

    def _until_launched(self, status: JobStatus) -> JobStatus:
        """Tell what the spawn of a job is doing: the engine's watch does not know of it yet."""
        while status.state in _WAITING and not status.launched and not self._closed.is_set():
            with self._lock:
                self._now = status
            self._tell()
            self._closed.wait(_AFTER_SECONDS)
            status = self._spawner.status(self._job_id)
        return status

    def _take(self, status: JobStatus) -> None:
        """Take in how the job stands; a line comes later, if it still stands so then."""
        with self._lock:
            self._now = status
            if not self._over and self._timer is None:
                self._later(self._tell)

    def _tell(self) -> None:
        with self._lock:
            self._timer = None
            status = self._now
            if self._over or status is None:
                return
            if status.state is JobState.RUNNING and self._said:
                self._said = ""
                self._say(f"{self._job_id} runs")
            text = sentence(self._app, status) if status.state in _WAITING else ""
            # A line for each megabyte would be too many, and for a time that is known better.
            same = sentence(self._app, evolve(status, progress=None, since=None)) if text else ""
            if not text or same == self._said:
                return
            self._said = same
            self._say(text)
            hint = fields.hint(self._app, status.hint or "")
            if hint != self._hint:
                self._hint = hint
                for line in hint.splitlines():
                    self._say(f"hint: {line}")

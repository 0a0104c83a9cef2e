"""A job's log as callers read it: mended from the last cursor when the connection breaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from spawnery.contract.log_text import LogStream
from spawnery.contract.requests import LogsRequest
from spawnery.contract.streams import JobStream
from spawnery.errors import LogsUnavailable, SpawnerError, StreamLost
from spawnery.model.outcome import LogChunk

if TYPE_CHECKING:
    from spawnery.lifecycle.calls import Engine

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_COMING_PAUSE: Final = 0.5
"""Between looks whether a job that somebody is creating has its object."""
_STEADY_SECONDS: Final = 5.0
"""A stream that held so long was a good one, also when the job was silent."""


class FollowedLog(LogStream):
    """A log stream that outlives its connections.

    Args:
        engine: The spawner.
        job_id, name: The job and its object.
        follow, cursor, since, tail_bytes: See ``Spawner.logs``.
        patience: Seconds for which a broken stream is tried again.
        coming: Tells whether somebody is still creating the job, so that it has no log yet.
        must_have_come: Raises ``JobNotFound`` where it was not created after all.
        ended: Called once when nobody reads any more.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        job_id: str,
        name: str,
        follow: bool,
        cursor: str | None,
        since: datetime | None,
        tail_bytes: int,
        patience: float,
        coming: Callable[[], bool],
        must_have_come: Callable[[], None],
        ended: Callable[[], None] | None,
    ) -> None:
        self._engine = engine
        self._job_id = job_id
        self._name = name
        self._follow = follow
        self._cursor = cursor
        self._since = since
        self._tail_bytes = tail_bytes
        self._patience = patience
        self._coming = coming
        self._must_have_come = must_have_come
        self._ended = ended
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._pause = _FIRST_PAUSE
        self._steady_at = time.monotonic()
        self._stream: JobStream[LogChunk] | None = None
        try:
            self._stream = self._open()
        except LogsUnavailable:
            if not coming():
                raise

    def _open(self) -> JobStream[LogChunk]:
        request = LogsRequest(
            job_id=self._job_id,
            name=self._name,
            cursor=self._cursor,
            follow=self._follow,
            since=self._since,
            tail_bytes=self._tail_bytes if self._cursor is None else 0,
            deadline=self._engine.limit(),
        )
        stream = self._engine.logs(request)
        self._opened_at = time.monotonic()
        return stream

    def __next__(self) -> LogChunk:
        while True:
            stream = self._stream or self._first()
            try:
                chunk = next(stream)
            except StopIteration:
                self.close()
                raise
            except StreamLost as lost:
                if self._closed.is_set():
                    raise StopIteration from None
                self._cursor = lost.cursor or self._cursor
                self._mend(lost)
            except SpawnerError as error:
                self.close()
                raise self._engine.cleaned(error, self._job_id) from None
            except Exception as error:  # noqa: BLE001 - nothing foreign crosses the boundary
                self.close()
                raise self._engine.foreign("logs", error, self._job_id) from None  # noqa: EM101
            else:
                self._cursor = chunk.cursor
                self._steady_at = time.monotonic()
                return chunk

    def _first(self) -> JobStream[LogChunk]:
        """Wait until the job is created, and open its log.

        Raises:
            StopIteration: It has none yet, and nobody wants to wait for it.
            JobNotFound: It never was.
            LogsUnavailable: Its log is gone already.
        """
        while self._follow and not self._closed.wait(_COMING_PAUSE):
            coming = self._coming()
            try:
                stream = self._open()
            except LogsUnavailable as error:
                if not coming:
                    self.close()
                    self._must_have_come()
                    raise self._engine.cleaned(error, self._job_id) from None
                continue
            return self._use(stream)
        self.close()
        raise StopIteration

    def _use(self, stream: JobStream[LogChunk]) -> JobStream[LogChunk]:
        with self._lock:
            self._stream = stream
        if self._closed.is_set():
            stream.close()
        return stream

    def _mend(self, lost: StreamLost) -> None:
        """Open the stream again behind the last chunk.

        Raises:
            SpawnerError: It cannot be opened, or breaks as soon as it is, for too long.
        """
        if self._stream is not None:
            self._stream.close()
        if time.monotonic() - self._opened_at > _STEADY_SECONDS:
            self._steady_at = time.monotonic()
        if self._steady_at > self._opened_at:
            self._pause = _FIRST_PAUSE
        error: SpawnerError = lost
        while not self._closed.wait(self._pause):
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            if not error.retryable or time.monotonic() - self._steady_at > self._patience:
                self.close()
                raise self._engine.cleaned(error, self._job_id) from error.__cause__
            try:
                stream = self._open()
            except SpawnerError as failure:
                error = failure
                continue
            self._use(stream)
            return

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            stream = self._stream
        if stream is not None:
            stream.close()
        if self._ended is not None:
            self._ended()

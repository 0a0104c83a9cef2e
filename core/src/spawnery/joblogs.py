"""A job's log as callers read it: mended from the last cursor when the connection breaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from spawnery.contract import LogsRequest
from spawnery.errors import SpawnerError, StreamLost
from spawnery.outcomes import LogChunk
from spawnery.streams import JobStream

if TYPE_CHECKING:
    from spawnery.engine import Engine

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


class FollowedLog(JobStream[LogChunk]):
    """A log stream that outlives its connections.

    Args:
        engine: The spawner.
        job_id, name: The job and its object.
        follow, cursor, since, tail_bytes: See ``Spawner.logs``.
        patience: Seconds for which a broken stream is tried again.
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
        self._ended = ended
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._stream = self._open()

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
        return self._engine.logs(request)

    def __next__(self) -> LogChunk:
        while True:
            try:
                chunk = next(self._stream)
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
            else:
                self._cursor = chunk.cursor
                return chunk

    def _mend(self, lost: StreamLost) -> None:
        """Open the stream again behind the last chunk."""
        self._stream.close()
        until = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while not self._closed.wait(pause):
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                stream = self._open()
            except SpawnerError as error:
                if not error.retryable or time.monotonic() > until:
                    self.close()
                    raise error from lost
                continue
            with self._lock:
                self._stream = stream
            if self._closed.is_set():
                stream.close()
            return

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            stream = self._stream
        stream.close()
        if self._ended is not None:
            self._ended()

"""The hook ``logs``: a job's log out of the engine, or as it was heard from before the start."""

from __future__ import annotations

from spawnery.contract import JobStream, LogsRequest
from spawnery.errors import LogsUnavailable, SpawnerError, StreamLost
from spawnery.model import LogChunk

from spawnery_docker.cache import Cache
from spawnery_docker.output.cursors import Counts, Place, parse
from spawnery_docker.output.follow_buffer import LAG, BufferStream, FollowBuffer
from spawnery_docker.output.reader import LogReader, Look
from spawnery_docker.output.stream import EngineLog
from spawnery_docker.output.tails import Tails
from spawnery_docker.status import LIVE


class Logs:
    """Opens logs.

    Args:
        reader: Reads logs from the engine.
        tails: What was heard.
        own: Inspects a container of ours by name or id; None where there is none.
        cache: What was seen.
    """

    def __init__(self, reader: LogReader, tails: Tails, own: Look, cache: Cache) -> None:
        self._cache = cache
        self._reader = reader
        self._tails = tails
        self._own = own

    def open(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open the log of a job.

        A job that was spawned here to be followed was heard byte by byte: that is read, unless the
        connection broke or the cursor is of the engine's log.

        Raises:
            LogsUnavailable: The engine has forgotten or never kept it.
            InvalidSpec: The cursor is none of ours.
        """
        start = parse(request.cursor) if request.cursor is not None else None
        buffer = self._tails.buffer(request.name)
        newest = self._cache.last(request.name)
        if buffer is not None and newest is not None and newest.engine_id != buffer.engine_id:
            buffer = None
        if buffer is not None and not isinstance(start, Place) and not _broken_at(buffer, start):
            return BufferStream(
                buffer,
                start=start or Counts(),
                tail_bytes=request.tail_bytes if start is None else 0,
                since=request.since,
                follow=request.follow,
                at_end=lambda cursor: self._must_be_all(buffer, request, cursor),
            )
        shown = self._own(request.name)
        if shown is None:
            if isinstance(start, Counts) and buffer is not None:
                raise _cut_off(request)
            raise gone(request)
        return EngineLog(self._reader, request, shown, start)

    def _must_be_all(self, buffer: FollowBuffer, request: LogsRequest, cursor: str) -> None:
        """Make sure that the end of the attached connection was the end of the log.

        It also ends when the daemon dies or a proxy cuts it, and looks the same then.

        Raises:
            StreamLost: It was not; the engine's own log has the rest, if anybody.
        """
        with buffer.changed:
            if buffer.changed.wait_for(lambda: buffer.exit_seen, timeout=LAG):
                return
        try:
            shown = self._own(request.name)
        except SpawnerError as error:
            raise StreamLost(error.message, cursor=cursor, job_id=request.job_id) from None
        if shown is None:
            return
        if shown["State"]["Status"] in LIVE or not shown["HostConfig"].get("AutoRemove"):
            buffer.trouble = "the connection to the job's output broke"
            raise StreamLost(buffer.trouble, cursor=cursor, job_id=request.job_id)


def _broken_at(buffer: FollowBuffer, start: Place | Counts | None) -> bool:
    """Tell whether the buffer ends too early and a reader has come to this end."""
    if buffer.trouble is None:
        return False
    heard = Counts(*buffer.sizes.values())
    return start is None or start == heard


def gone(request: LogsRequest) -> LogsUnavailable:
    """Say that the container is not there, and its log with it."""
    msg = (
        f"the log of job {request.job_id} is not here: there is no container {request.name}; it"
        " was removed, and its log with it, or never was"
    )
    hint = "keep ended jobs for a while: retention_seconds=900"
    return LogsUnavailable(msg, hint=hint, job_id=request.job_id)


def _cut_off(request: LogsRequest) -> LogsUnavailable:
    msg = (
        f"the rest of the log of job {request.job_id} is lost: the connection to the engine broke"
        f" and the container {request.name} is gone, its log with it"
    )
    hint = "keep ended jobs for a while: retention_seconds=900"
    return LogsUnavailable(msg, hint=hint, job_id=request.job_id)

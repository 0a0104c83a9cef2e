"""The hook ``logs``: a stream over a job's log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from spawnery.contract.declaration import SpawnerRuntime
from spawnery.contract.requests import LogsRequest
from spawnery.contract.streams import JobStream, ThreadedStream
from spawnery.errors import InvalidSpec, LogsUnavailable, NameConflict, StreamLost
from spawnery.local.lifecycle import Lifecycle
from spawnery.local.output.log_file import STREAMS
from spawnery.local.output.log_reader import LogReader, Piece, place_before_end
from spawnery.local.state.facts import Facts
from spawnery.model.outcome import LogChunk

_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.2
_NANO: Final = 1_000_000_000


def open_log(
    lifecycle: Lifecycle, request: LogsRequest, runtime: SpawnerRuntime
) -> JobStream[LogChunk]:
    """Open the log of a job.

    Raises:
        LogsUnavailable: There is no such job here.
        InvalidSpec: The cursor is none of ours.
    """
    facts = _facts(lifecycle, request)
    offset, data_offset, skip = _begin(facts, request)
    reader = LogReader(facts.folder, offset=offset, data_offset=data_offset)
    following = _Following(lifecycle, request, reader, skip=skip)
    return ThreadedStream(
        following.produce, start=runtime.start_thread, name=f"spawnery-log-{request.job_id}"
    )


def _facts(lifecycle: Lifecycle, request: LogsRequest) -> Facts:
    try:
        facts = lifecycle.facts(request.name)
    except NameConflict:
        facts = None
    if facts is not None:
        return facts
    msg = f"the log of job {request.job_id} is not here: the job was removed, or never was"
    hint = "keep ended jobs for a while: retention_seconds=900"
    raise LogsUnavailable(msg, hint=hint, job_id=request.job_id)


def _begin(facts: Facts, request: LogsRequest) -> tuple[int, int, int]:
    if request.cursor is not None:
        return (*_parse(request.cursor), 0)
    if request.tail_bytes:
        return place_before_end(facts.folder, request.tail_bytes)
    return 0, 0, 0


def _parse(cursor: str) -> tuple[int, int]:
    offset, dot, data_offset = cursor.partition(".")
    if dot and offset.isdecimal() and data_offset.isdecimal():
        return int(offset), int(data_offset)
    msg = f"cursor: {cursor[:40]!r} is not a place in a log of the local engine"
    raise InvalidSpec(msg, field="cursor", hint="take it from LogChunk.cursor")


class _Following:
    """Hands the pieces of a log to a stream.

    Args:
        lifecycle: Tells whether the job has ended.
        request: What is wanted.
        reader: Where it comes from.
        skip: How many bytes of the first piece are left out.
    """

    def __init__(
        self, lifecycle: Lifecycle, request: LogsRequest, reader: LogReader, *, skip: int
    ) -> None:
        self._lifecycle = lifecycle
        self._request = request
        self._reader = reader
        self._skip = skip
        self._since = request.since.timestamp() * _NANO if request.since is not None else 0
        self._cursor = request.cursor

    def produce(self, put: Callable[[LogChunk], bool], closed: threading.Event) -> None:
        """Read to the end; where it is followed, to the end of the job."""
        pause = _SHORTEST_PAUSE
        with self._reader:
            while not closed.is_set():
                # Asked for before reading, so nothing is left out.
                facts = self._lifecycle.facts(self._request.name)
                ended = not self._request.follow or facts is None or facts.exit is not None
                try:
                    found = self._pass_on(put)
                except FileNotFoundError:
                    msg = f"the log of job {self._request.job_id} was removed while it was read"
                    raise StreamLost(msg, cursor=self._cursor) from None
                if ended:
                    self._tell_end(facts, put)
                    return
                pause = _SHORTEST_PAUSE if found else min(pause * 1.5, _LONGEST_PAUSE)
                closed.wait(pause)

    def _tell_end(self, facts: Facts | None, put: Callable[[LogChunk], bool]) -> None:
        """Tell how much was written after the last record that could be kept (a full disk)."""
        offset, data_offset = self._reader.place
        if facts is None or facts.exit is None:
            return
        end = facts.exit.get("log_bytes", 0)
        if end > data_offset:
            lost = end - data_offset
            put(LogChunk(stream="stdout", data=b"", cursor=f"{offset}.{end}", lost=lost))

    def _pass_on(self, put: Callable[[LogChunk], bool]) -> bool:
        found = False
        for piece in self._reader.pieces():
            data, self._skip = piece.data[self._skip :], 0
            self._cursor = f"{piece.offset}.{piece.data_offset}"
            if piece.time_ns < self._since or not data:
                continue
            found = True
            if not put(self._chunk(piece, data)):
                return False
        return found

    def _chunk(self, piece: Piece, data: bytes) -> LogChunk:
        return LogChunk(
            stream=STREAMS[piece.stream],
            data=data,
            cursor=f"{piece.offset}.{piece.data_offset}",
            time=datetime.fromtimestamp(piece.time_ns / _NANO, UTC),
            lost=piece.lost,
        )

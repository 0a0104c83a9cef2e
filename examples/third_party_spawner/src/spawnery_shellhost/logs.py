"""Logs: two files on the host, told apart; the cursor is the number of bytes read of each."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Final

from attrs import evolve, frozen
from spawnery.contract import Deadline, JobStream, LogsRequest, ThreadedStream
from spawnery.errors import EngineTimeout, InvalidSpec, LogsUnavailable, StreamLost
from spawnery.model import LogChunk

from . import errors
from .client import Connection, script
from .jobs import Jobs
from .watch import SILENCE_SECONDS, beats

_CURSOR: Final = re.compile(r"o(\d+)e(\d+)\Z")
_STREAMS: Final = {"out": "stdout", "err": "stderr"}


@frozen(kw_only=True)
class Cursor:
    """How far each of the two files was read, in bytes."""

    out: int = 0
    err: int = 0

    def __str__(self) -> str:
        return f"o{self.out}e{self.err}"

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read a cursor; None is the start.

        Raises:
            InvalidSpec: It is not one of ours.
        """
        if text is None:
            return cls()
        found = _CURSOR.match(text)
        if found is None:
            msg = f"cursor: {text!r} is not a cursor of this engine"
            raise InvalidSpec(msg, field="cursor")
        return cls(out=int(found[1]), err=int(found[2]))

    def behind(self, name: str, size: int) -> Cursor:
        """Return the cursor behind ``size`` more bytes of a file."""
        return evolve(self, **{name: getattr(self, name) + size})


def logs(jobs: Jobs, request: LogsRequest) -> JobStream[LogChunk]:
    """Open the log of a job.

    Raises:
        LogsUnavailable: The host has no such job.
    """
    cursor = Cursor.parse(request.cursor)
    pause = jobs.settings.poll_seconds
    arguments = (
        *jobs.home,
        request.name,
        "yes" if request.follow else "no",
        str(cursor.out),
        str(cursor.err),
        str(request.tail_bytes),
        str(pause),
        beats(pause),
    )
    connection = jobs.client.open(script("logs", arguments=arguments), request.deadline)
    try:
        cursor = _opened(connection, request)
    except BaseException:
        connection.close()
        raise

    def produce(put: Callable[[LogChunk], bool], _closed: threading.Event) -> None:
        try:
            for chunk in _chunks(connection, cursor):
                if not put(chunk):
                    return
        finally:
            connection.close()

    start = jobs.runtime.start_thread
    return ThreadedStream(
        produce, interrupt=connection.interrupt, start=start, limit=64, name="spawnery-logs"
    )


def _opened(connection: Connection, request: LogsRequest) -> Cursor:
    """Read the first line: where the log begins."""
    try:
        word, _, rest = connection.line(request.deadline).partition(" ")
    except (EOFError, OSError):
        msg = f"the connection broke while the log of job {request.job_id} was opened"
        raise StreamLost(msg, cursor=request.cursor, job_id=request.job_id) from None
    if word == "open":
        return Cursor.parse(rest)
    if word == "absent":
        msg = f"the log of job {request.job_id} is gone with the job"
        raise LogsUnavailable(msg, job_id=request.job_id)
    raise errors.unexpected("logs", [word, rest])


def _chunks(connection: Connection, cursor: Cursor) -> Iterator[LogChunk]:
    try:
        while (line := connection.line(_silence())) != "end":
            name, _, size = line.partition(" ")
            if name == "beat":
                continue
            left = int(size)
            while left:
                data = connection.piece(left, _silence())
                left -= len(data)
                cursor = cursor.behind(name, len(data))
                yield LogChunk(stream=_STREAMS[name], data=data, cursor=str(cursor))
    except (EOFError, EngineTimeout, OSError, ValueError, KeyError):
        msg = "the connection to the host broke"
        raise StreamLost(msg, cursor=str(cursor)) from None


def _silence() -> Deadline:
    return Deadline.after(SILENCE_SECONDS)

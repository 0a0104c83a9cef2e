"""A job's log out of the engine: follows it over the ends of single requests to the job's end."""

from __future__ import annotations

import collections
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import evolve
from spawnery.contract import JobStream, LogsRequest
from spawnery.errors import LogsUnavailable, SpawnerError, StreamLost
from spawnery.model import LogChunk

from spawnery_docker.output.account import Account, Limits, limits_of
from spawnery_docker.output.cursors import Counts, Mark, Place, Position
from spawnery_docker.output.demux import NAMES, Message
from spawnery_docker.output.reader import LogReader, Messages
from spawnery_docker.output.tailer import last_bytes
from spawnery_docker.status import LIVE

_NANO: Final = 1_000_000_000
_TOGETHER_NS: Final = 10_000_000
"""What one stream says within this time is one chunk, with the time of its beginning."""
_PAUSE: Final = 0.2


class EngineLog(JobStream[LogChunk]):
    """Reads the log of one container.

    The end of an answer is no proof that the job has ended: it ends as well when the daemon is
    stopped, and at once for a container that was not started yet. So the container is looked at,
    and once it has ended the rest is read without following.

    Args:
        reader: Asks for logs, and looks at the container.
        request: What is wanted.
        shown: The reply of the container's inspect.
        start: Where to begin; None: as the request says.

    Raises:
        LogsUnavailable, StreamLost: See ``LogReader.open``.
    """

    def __init__(
        self,
        reader: LogReader,
        request: LogsRequest,
        shown: Mapping[str, Any],
        start: Place | Counts | None,
    ) -> None:
        self._reader = reader
        self._request = request
        self._engine_id: str = shown["Id"]
        self._since = 0 if request.since is None else int(request.since.timestamp() * _NANO)
        self._ready: collections.deque[LogChunk] = collections.deque()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._messages: Messages | None = None
        self._start: Place | Counts | None = start
        self._position = Position(start)
        self._waited = False
        self._gap = False
        self._silent = False
        self._over = False
        self._limits = None if reader.podman else limits_of(shown)
        if request.tail_bytes and start is None:
            self._begin_before_end(request.tail_bytes)
        if isinstance(start, Counts) and self._limits is not None:
            self._begin_by_time(start, self._limits)
        self._account = Account(self._limits, reader.now, self._start)
        self._open(follow=request.follow and shown["State"]["Status"] in LIVE)
        self._last = not request.follow or shown["State"]["Status"] not in {"created", *LIVE}

    def _begin_before_end(self, size: int) -> None:
        pieces, self._start = last_bytes(self._reader, self._request, self._engine_id, size)
        for message, place in pieces:
            if message[1] >= self._since:
                self._ready.append(_chunk(message, str(place)))
        got = [message for message, _ in pieces]
        short = sum(len(data) for _, _, data in got) < size
        if short and self._limits is not None and self._limits.is_full(got) and self._ready:
            self._ready[0] = evolve(self._ready[0], lost_reason=self._why())

    def _begin_by_time(self, start: Counts, limits: Limits) -> None:
        """Go on from when the last byte was heard, where the log may have lost its beginning."""
        stored = 0
        messages = self._reader.open(self._request, self._engine_id, follow=False)
        try:
            while stored < limits.whole and (found := messages.some()) is not None:
                stored += limits.stored(found)
        finally:
            messages.close()
        if start.heard and stored >= limits.whole:
            mark = Mark(start.heard)
            self._start = Place(mark, mark)
            self._gap = True

    def _open(self, *, follow: bool) -> None:
        """Ask for what is behind the position, or for all where some of it may be missing."""
        self._position = Position(self._start)
        start = self._start
        if not follow and self._account.doubtful:
            self._account.check_all()
            start = self._account.start
        since = self._since if start is None else start.since
        self._follows = follow
        self._from_start = start is None or not start.since
        messages = self._reader.open(self._request, self._engine_id, follow=follow, since=since)
        with self._lock:
            self._messages = messages
        if self._closed.is_set():
            messages.close()

    def __next__(self) -> LogChunk:
        while not self._closed.is_set():
            if self._ready:
                return self._ready.popleft()
            if self._over:
                break
            try:
                if not self._fill() and not self._go_on():
                    self._end()
            except StreamLost as lost:
                raise StreamLost(
                    lost.message, cursor=self._position.cursor, job_id=self._request.job_id
                ) from None
        raise StopIteration

    def _fill(self) -> bool:
        """Read some messages; False when the answer has ended."""
        if self._messages is None:
            return False
        messages = self._messages.some()
        if messages is None:
            return False
        self._silent = False
        if self._follows:
            self._account.follow(messages, from_start=self._from_start)
        else:
            self._account.read(messages, from_start=self._from_start)
        run: list[Message] = []
        podman, given = self._reader.podman, 0
        for stream, time, data in messages:
            if not podman and self._position.is_gone(stream, time):
                if run:
                    self._put(run)
                    run = []
                self._gap = True
            if run and (run[0][0] != stream or time - run[0][1] > _TOGETHER_NS):
                self._put(run)  # before the position moves on
                run = []
            new = self._position.admit(stream, time, data)
            given += len(new)
            if new and time >= self._since:
                run.append((stream, time, new))
        self._account.gave(given)
        if run:
            self._put(run)
        return True

    def _put(self, run: list[Message]) -> None:
        stream, time, _ = run[0]
        whole = b"".join(data for _, _, data in run)
        chunk = _chunk((stream, time, whole), self._position.cursor)
        if self._gap:
            chunk, self._gap = evolve(chunk, lost_reason=self._why()), False
        self._ready.append(chunk)

    def _end(self) -> None:
        """Come to the end of the log; say what is missing of it, as far as that is known."""
        self._over = True
        lost, reason = self._account.missing()
        # A container on its way out has no log any more: what was followed was all.
        unseen = self._last and self._position.unseen and not self._silent
        if self._gap or (unseen and not self._reader.podman):
            reason = self._why()
        if lost or reason:
            cursor = self._position.cursor
            self._ready.append(
                LogChunk(stream="stdout", data=b"", cursor=cursor, lost=lost, lost_reason=reason)
            )

    def _why(self) -> str:
        """Say why what follows the place of the reader is not there any more."""
        return "the engine dropped it" if self._limits is None else self._limits.reason

    def _go_on(self) -> bool:
        """Go on after the end of an answer; False when the log has ended."""
        self._let_go()
        if self._last:
            return False
        status = self._status()
        if status is None:
            return False
        self._start = self._position.where
        self._silent = True
        self._last = status not in LIVE
        try:
            self._open(follow=not self._last)
        except LogsUnavailable:
            if self._last:  # removed meanwhile, after its log had ended
                return False
            raise
        return True

    def _status(self) -> str | None:
        """Return where the container stands once it was started; None when it is gone."""
        while not self._closed.wait(_PAUSE if self._waited else 0):
            try:
                shown = self._reader.look(self._engine_id)
            except SpawnerError as error:
                raise StreamLost(error.message) from None
            if shown is None or shown["State"].get("Error"):
                return None
            status: str = shown["State"]["Status"]
            self._waited = status in {"created", *LIVE}
            if status != "created":
                return status
        return None

    def _let_go(self) -> None:
        with self._lock:
            messages, self._messages = self._messages, None
        if messages is not None:
            messages.close()

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        self._closed.set()
        self._let_go()


def _chunk(message: Message, cursor: str) -> LogChunk:
    stream, time, data = message
    return LogChunk(
        stream=NAMES[stream],
        data=data,
        cursor=cursor,
        time=datetime.fromtimestamp(time / _NANO, UTC),
    )

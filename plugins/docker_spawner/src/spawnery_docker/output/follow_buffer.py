"""The whole log of a job that somebody follows, as it was heard: kept until it is read.

An engine that removes a container at its exit removes its log as well. So for a caller who follows
a job from its start the log is written here while it is heard: small ones in memory, others to a
file that has no name, so nothing of it can stay behind. The job is never held up by a slow reader.
"""

from __future__ import annotations

import struct
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from attrs import evolve
from spawnery.contract import JobStream
from spawnery.errors import StreamLost
from spawnery.model import LogChunk

from spawnery_docker.output.cursors import Counts
from spawnery_docker.output.demux import NAMES, STDERR, STDOUT

LAG: Final = 0.5
"""Seconds between the end of the output and the engine's word on the exit: usually milliseconds.

Where it takes longer the container is looked at instead."""
_IN_MEMORY: Final = 256 * 1024
_RECORD: Final = struct.Struct(">BQL")
_NANO: Final = 1_000_000_000


class FollowBuffer:
    """Records of a log: one writer, any number of readers.

    Args:
        folder: Where the nameless file is made when memory does not suffice.
        engine_id: Whose log it is.
        now: The engine's present.
    """

    def __init__(
        self,
        folder: Path,
        engine_id: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.engine_id = engine_id
        self._now = now
        self.changed = threading.Condition()
        self.over = False
        self.exit_seen = False
        self.trouble: str | None = None
        self.sizes = {STDOUT: 0, STDERR: 0}
        self._folder = folder
        self._written = 0
        self._over_at = 0.0
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None

    def write(self, stream: int, data: bytes) -> None:
        """Add what a stream said; a full disk ends the log with the reason, not the job."""
        with self.changed:
            if self.trouble is not None:
                return
            try:
                self._append(
                    _RECORD.pack(stream, int(self._now().timestamp() * 1e9), len(data)) + data
                )
            except OSError as error:
                self.trouble = f"the log cannot be kept in {self._folder}: {error.strerror}"
            else:
                self.sizes[stream] += len(data)
            self.changed.notify_all()

    def _append(self, record: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115
        self._file.seek(self._written)
        self._file.write(record)
        self._written += len(record)

    def read(self, at: int) -> tuple[int, int, bytes, int] | None:
        """Return the record at a place (stream, time, data) and the place behind it."""
        with self.changed:
            if at >= self._written or self._file is None:
                return None
            self._file.seek(at)
            stream, moment, size = _RECORD.unpack(self._file.read(_RECORD.size))
            return stream, moment, self._file.read(size), at + _RECORD.size + size

    def end(self) -> None:
        """Say that nothing more will be heard."""
        with self.changed:
            self._end()

    def _end(self) -> None:
        if not self.over:
            self.over, self._over_at = True, time.monotonic()
        self.changed.notify_all()

    def saw_exit(self) -> None:
        """Say that the engine told how the job ended, so the end of what is heard is the end.

        Not where nothing was heard for a while before: then the connection broke earlier.
        """
        with self.changed:
            if not self.over or time.monotonic() - self._over_at < LAG:
                self.exit_seen = True
            self.changed.notify_all()

    def close(self) -> None:
        """Forget all."""
        with self.changed:
            self._end()
            if self._file is not None:
                self._file.close()
                self._file = None


class BufferStream(JobStream[LogChunk]):
    """Reads a buffer.

    Args:
        buffer: What is heard.
        start: How many bytes of each stream are left out at the beginning.
        tail_bytes: Begin so many bytes before what is there now; 0: at ``start``.
        since: Leave out what was heard earlier.
        follow: Stay until nothing more will be heard.
        at_end: Called with the place when nothing more will be heard; raises ``StreamLost`` where
            that is not the end of the log.
    """

    def __init__(
        self,
        buffer: FollowBuffer,
        *,
        start: Counts,
        tail_bytes: int,
        since: datetime | None,
        follow: bool,
        at_end: Callable[[str], None],
    ) -> None:
        self._buffer = buffer
        self._place = Counts()
        self._skip = {STDOUT: start.out, STDERR: start.err}
        self._leave = max(0, sum(buffer.sizes.values()) - tail_bytes) if tail_bytes else 0
        self._since = 0 if since is None else int(since.timestamp() * _NANO)
        self._follow = follow
        self._at_end = at_end
        self._at = 0
        self._closed = False

    def __next__(self) -> LogChunk:
        while not self._closed:
            record = self._buffer.read(self._at)
            if record is None:
                self._at_last()
                continue
            stream, moment, whole, self._at = record
            self._place = evolve(self._place.after(stream, len(whole)), heard=moment)
            data = self._unseen(stream, whole)
            if data and moment >= self._since:
                return LogChunk(
                    stream=NAMES[stream],
                    data=data,
                    cursor=str(self._place),
                    time=datetime.fromtimestamp(moment / _NANO, UTC),
                )
        raise StopIteration

    def _unseen(self, stream: int, data: bytes) -> bytes:
        size = min(len(data), max(self._skip[stream], self._leave))
        self._skip[stream] = max(0, self._skip[stream] - size)
        self._leave = max(0, self._leave - size)
        return data[size:]

    def _at_last(self) -> None:
        """Wait for more; close when there will be none."""
        buffer = self._buffer
        with buffer.changed:
            if buffer.read(self._at) is not None or self._closed:
                return
            if self._follow and not buffer.over and buffer.trouble is None:
                buffer.changed.wait()
                return
        self._closed = True
        if buffer.trouble is not None:
            raise StreamLost(buffer.trouble, cursor=str(self._place))
        if self._follow:
            self._at_end(str(self._place))

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        with self._buffer.changed:
            self._closed = True
            self._buffer.changed.notify_all()

"""The hook ``logs``: the log of a job's pod, from before it runs to its end."""

from __future__ import annotations

import collections
import threading
import time
from datetime import UTC, datetime
from typing import Final

from attrs import evolve
from spawnery.contract import JobStream, LogsRequest
from spawnery.errors import LogsUnavailable, SpawnerError, StreamLost
from spawnery.model import LogChunk

from spawnery_kubernetes.objects.facts import PodFacts
from spawnery_kubernetes.objects.timestamps import Piece
from spawnery_kubernetes.reading.cursors import Place, Position, parse
from spawnery_kubernetes.reading.log_loss import ROTATED, Beginning
from spawnery_kubernetes.reading.pod_log import Found, Pieces, PodLogs, gone, refused

_NANO: Final = 1_000_000_000
_GLANCE_SECONDS: Final = 0.1
"""How often it is looked whether the watch has told something of the pod."""
_LOOK_SECONDS: Final = 2.0
"""How often the cluster is asked, where nobody watches."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


class Logs:
    """Opens logs.

    Args:
        pods: Finds pods and reads their logs.
    """

    def __init__(self, pods: PodLogs) -> None:
        self._pods = pods

    def open(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open the log of a job.

        Raises:
            LogsUnavailable: Its pod is gone, or the node has no log of it.
            InvalidSpec: The cursor is none of ours.
        """
        start = None if request.cursor is None else parse(request.cursor)
        found = self._pods.find(request)
        if found.pod is None and found.over:
            raise gone(request)
        return JobLog(self._pods, request, found, start)


class JobLog(JobStream[LogChunk]):
    """Reads the log of one job.

    The end of an answer is no proof that the job has ended: the API server may have been stopped,
    or the node may have begun a new file (kubernetes#115701). So the pod is looked at, and once its
    container has ended the rest is read without following.

    Args:
        pods: Finds pods and reads their logs.
        request: What is wanted.
        found: The pod.
        start: Where to begin; None: as the request says.

    Raises:
        LogsUnavailable, SpawnerError: See ``PodLogs.open``.
    """

    def __init__(
        self, pods: PodLogs, request: LogsRequest, found: Found, start: Place | None
    ) -> None:
        self._pods = pods
        self._request = request
        self._since = 0 if request.since is None else int(request.since.timestamp() * _NANO)
        self._ready: collections.deque[LogChunk] = collections.deque()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._pieces: Pieces | None = None
        self._pod = found.readable
        self._pause = _FIRST_PAUSE
        self._again = False
        self._last = found.over or not request.follow
        self._position = Position(start or Place(self._since // _NANO))
        self._told = False
        self._over = False
        # Who waits for the program, or asks for a part, does not ask where the log begins.
        partly = start is not None or request.since is not None or request.tail_bytes
        self._beginning = Beginning() if self._pod is not None and not partly else None
        if self._pod is None:
            return
        if request.tail_bytes and start is None:
            self._begin_before_end(self._pod, request.tail_bytes)
            if self._last:
                return
        self._open(self._pod)

    def _open(self, pod: PodFacts) -> None:
        """Ask for what is behind the position."""
        place = self._position.place
        pieces = self._pods.open(self._request, pod, place, follow=not self._last)
        self._position, self._told = Position(place), False
        with self._lock:
            self._pieces = pieces
        if self._closed.is_set():
            pieces.close()

    def _begin_before_end(self, pod: PodFacts, size: int) -> None:
        """Read all that is there, and keep its last bytes: the API knows lines, not bytes."""
        pieces = self._pods.open(self._request, pod, self._position.place, follow=False)
        held = 0
        try:
            while (chunk := self._chunk(pieces)) is not None:
                self._ready.append(chunk)
                held += len(chunk.data)
                while held - len(self._ready[0].data) >= size:
                    held -= len(self._ready.popleft().data)
        finally:
            pieces.close()
        if held > size:
            first = self._ready[0]
            self._ready[0] = evolve(first, data=first.data[held - size :])

    # -- reading -----------------------------------------------------------------------------

    def __next__(self) -> LogChunk:
        while not self._closed.is_set():
            if self._ready:
                return self._ready.popleft()
            if self._over:
                break
            try:
                if not self._fill() and not self._go_on():
                    self._end()
            except SpawnerError as error:
                if self._closed.is_set():
                    break
                if not error.retryable:
                    raise
                cursor, job_id = str(self._position.place), self._request.job_id
                raise StreamLost(error.message, cursor=cursor, job_id=job_id) from None
        raise StopIteration

    def _fill(self) -> bool:
        """Read on; False when the answer has ended."""
        if self._pieces is None:
            return False
        chunk = self._chunk(self._pieces)
        if chunk is not None and (chunk.data or chunk.gap):
            self._ready.append(chunk)
        return chunk is not None

    def _chunk(self, pieces: Pieces) -> LogChunk | None:
        """Read the next pieces that come together; None at the end."""
        found = pieces.some()
        if found is None:
            return None
        new = [
            data for piece in found if (data := self._position.admit(piece)) and self._wanted(piece)
        ]
        if self._beginning is not None:
            self._beginning.read(found[0].time, new)
        gap = self._position.gap and not self._told
        self._told = self._position.gap
        return LogChunk(
            stream="stdout",
            data=b"".join(new),
            cursor=str(self._position.place),
            time=datetime.fromtimestamp(found[0].time / _NANO, UTC),
            lost_reason=ROTATED if gap else None,
        )

    def _end(self) -> None:
        """Come to the end of the log; say what may be missing of it."""
        self._over = True
        reason = None
        if self._beginning is not None and self._pod is not None:
            reason = self._beginning.doubt(self._pod)
        if self._last and self._position.unseen:
            reason = ROTATED
        if reason is not None:
            cursor = str(self._position.place)
            self._ready.append(
                LogChunk(stream="stdout", data=b"", cursor=cursor, lost_reason=reason)
            )

    def _wanted(self, piece: Piece) -> bool:
        return piece.time >= self._since

    def _go_on(self) -> bool:
        """Go on after the end of an answer; False when the log has ended."""
        said = self._let_go()
        if self._pod is None:
            return not self._last and self._await()
        if said and not self._again:
            raise refused(self._request, said)
        if self._last:
            return self._follow_next(self._pod)
        if self._closed.wait(self._pause):
            return False
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        now = self._pods.look(self._pod)
        if now is None:
            return self._follow_next(evolve(self._pod, gone=True))
        self._pod = now
        self._last, self._again = now.terminated, True
        try:
            self._open(now)
        except LogsUnavailable:
            if self._last:  # its log went meanwhile, and had ended before
                return False
            raise
        return True

    def _follow_next(self, before: PodFacts) -> bool:
        """Go on with the pod that takes the place of one that was deleted, once it runs.

        A Job that is suspended loses its pod and gets another one when it is resumed.
        """
        replaceable = before.deleting or before.gone
        if not self._request.follow or not replaceable:
            return False
        self._position = Position(Place(self._since // _NANO))
        self._again = False
        return self._await(before)

    def _await(self, before: PodFacts | None = None) -> bool:
        """Wait until the job has run, in another pod than before; False when it never will."""
        name, known, ask_at = self._request.name, None, 0.0
        while not self._closed.wait(_GLANCE_SECONDS):
            told = self._pods.cache.last(name)
            if told == known and time.monotonic() < ask_at:
                continue
            known, ask_at = told, time.monotonic() + _LOOK_SECONDS
            found = self._pods.find(self._request)
            same = before is not None and found.pod is not None and found.pod.uid == before.uid
            self._pod = None if same else found.readable
            self._last = found.final if same else found.over
            if self._pod is not None:
                self._open(self._pod)
                return True
            if self._last:
                return False
        return False

    def _let_go(self) -> str:
        """Let go of an answer; returns what the node said in its place."""
        with self._lock:
            pieces, self._pieces = self._pieces, None
        if pieces is None:
            return ""
        pieces.close()
        return pieces.trouble

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        self._closed.set()
        with self._lock:
            pieces = self._pieces
        if pieces is not None:
            pieces.close()

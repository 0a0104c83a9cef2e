"""Places in a job's log: where a reader is, as text, and what it has seen already: pure.

Docker's log API can begin at a time, not at a byte, and times repeat: each part of a line longer
than 16 KiB has the time of its first part. So a place says for each stream the time of the last
message and how many bytes were read that have this very time. Reading goes on *at* that time and
leaves these bytes out.

Within one stream times never go back, because one goroutine of the daemon stamps it
(moby:daemon/logger/copier.go). Between the two they do: a part of a long line is older than what
the other stream wrote meanwhile. Hence two marks, and a ``since`` that is early enough for both.

A log that was heard over an attached connection has no times; its places count bytes, and say when
the last of them came: where the log has lost its beginning, nothing can be counted in it.
"""

from __future__ import annotations

import re
from typing import Final, Self

from attrs import evolve, field, frozen
from spawnery.errors import InvalidSpec

from spawnery_docker.output.demux import STDERR, STDOUT

_SLACK_NS: Final = 5_000_000_000
"""A message reaches the log this much later than its time at most; only the order of the two
streams depends on it."""
_NEWLINE: Final = 10
_TEXT: Final = re.compile(
    r"t(?P<out>\d+)\.(?P<out_size>\d+)(?P<out_open>p?)"
    r"-(?P<err>\d+)\.(?P<err_size>\d+)(?P<err_open>p?)|n(?P<counts>\d+-\d+)(\.(?P<heard>\d+))?",
    re.ASCII,
)


@frozen
class Mark:
    """How far one stream was read.

    Attributes:
        time: Nanoseconds since the epoch of its last message; 0: none was read.
        size: Bytes that were read with this very time.
        open: The last message did not end its line: a part with the same time may follow.
    """

    time: int = 0
    size: int = 0
    open: bool = False

    def __str__(self) -> str:
        """Write it as a part of a cursor."""
        return f"{self.time}.{self.size}{'p' if self.open else ''}"


@frozen
class Place:
    """A place in a log, by the times of its messages.

    Attributes:
        out, err: How far each stream was read.
    """

    out: Mark = Mark()
    err: Mark = Mark()

    def __str__(self) -> str:
        """Write it as a cursor."""
        return f"t{self.out}-{self.err}"

    @property
    def since(self) -> int:
        """Time at which to begin so that nothing unread is left out; 0: from the start."""
        latest = max(self.out.time, self.err.time)
        return max(0, min(_earliest(mark, latest) for mark in (self.out, self.err)))

    def assuming(self, time: int) -> Place:
        """Return it with all that is older as read, of a stream of which nothing was."""
        out, err = (mark if mark.time else Mark(time) for mark in (self.out, self.err))
        return Place(out, err)


@frozen
class Counts:
    """A place in a log, by how many bytes of each stream lie before it.

    Attributes:
        out, err: The bytes.
        heard: When the last of them came, in nanoseconds since the epoch; 0: not known.
    """

    out: int = 0
    err: int = 0
    heard: int = field(default=0, eq=False)

    def __str__(self) -> str:
        """Write it as a cursor."""
        return f"n{self.out}-{self.err}" + (f".{self.heard}" if self.heard else "")

    @property
    def since(self) -> int:
        """Time at which to begin: always the start, bytes are counted from there."""
        return 0

    def after(self, stream: int, size: int) -> Self:
        """Return the place behind so many more bytes of a stream."""
        if stream == STDERR:
            return evolve(self, err=self.err + size)
        return evolve(self, out=self.out + size)


def parse(cursor: str) -> Place | Counts:
    """Read a cursor.

    Raises:
        InvalidSpec: It is none of ours.
    """
    match = _TEXT.fullmatch(cursor)
    if match is None:
        msg = f"cursor: {cursor[:40]!r} is not a place in a log of the Docker engine"
        raise InvalidSpec(msg, field="cursor", hint="take it from LogChunk.cursor")
    if match["counts"] is not None:
        out, err = match["counts"].split("-")
        return Counts(int(out), int(err), int(match["heard"] or 0))
    marks = (
        Mark(int(match[name]), int(match[f"{name}_size"]), bool(match[f"{name}_open"]))
        for name in ("out", "err")
    )
    return Place(*marks)


class Position:
    """Where a reader is; tells new bytes from those that it has seen before it was interrupted.

    Args:
        start: Where reading goes on; the start of the log when absent.
    """

    def __init__(self, start: Place | Counts | None = None) -> None:
        place = start if isinstance(start, Place) else Place()
        self._marks = {
            stream: [mark.time, mark.size, int(mark.open)]
            for stream, mark in ((STDOUT, place.out), (STDERR, place.err))
        }
        self._skip: dict[int, list[int]] = {}
        if isinstance(start, Counts):
            self._skip = {STDOUT: [-1, start.out], STDERR: [-1, start.err]}
        elif start is not None:
            self._skip = {stream: mark[:2] for stream, mark in self._marks.items() if mark[0]}
        # What is older than that is not asked for, so nothing follows from its absence.
        self._since = place.since
        self._counting = isinstance(start, Counts)
        self._counts = Counts()
        self._heard = start.heard if isinstance(start, Counts) else 0

    def is_gone(self, stream: int, time: int) -> bool:
        """Tell whether the log no longer has the place: a message shows that is behind it."""
        until, left = self._skip.get(stream, (-1, 0))
        return bool(left) and self._since <= until < time and not self._counting

    @property
    def unseen(self) -> bool:
        """Whether the log did not show the place so far."""
        sought = self._skip.values() if not self._counting else ()
        return any(left and until >= self._since for until, left in sought)

    def admit(self, stream: int, time: int, data: bytes) -> bytes:
        """Take in a message of the log; returns what of it is new."""
        if stream in self._skip:
            data = self._unseen(stream, time, data)
            if not data:
                return data
        self._move(stream, time, data)
        return data

    def _move(self, stream: int, time: int, data: bytes) -> None:
        if self._counting:
            self._counts = self._counts.after(stream, len(data))
        mark = self._marks[stream]
        if time == mark[0]:
            mark[1] += len(data)
        else:
            mark[0], mark[1] = time, len(data)
        mark[2] = data[-1] != _NEWLINE

    def _unseen(self, stream: int, time: int, data: bytes) -> bytes:
        """Leave out what was seen: all that is older, and as many bytes of the mark's own time."""
        until, left = self._skip[stream]
        if not self._counting and time < until:
            return b""
        if not left or (time > until and not self._counting):
            del self._skip[stream]
            return data
        seen = data[:left]
        self._skip[stream][1] -= len(seen)
        if self._counting:
            self._move(stream, time, seen)
        return data[left:]

    @property
    def place(self) -> Place:
        """The place behind everything that was admitted."""
        marks = (self._marks[stream] for stream in (STDOUT, STDERR))
        return Place(*(Mark(time, size, bool(open_)) for time, size, open_ in marks))

    @property
    def where(self) -> Place | Counts:
        """Where to go on; counted in bytes as long as counted ones were not all passed."""
        if not any(left for time, left in self._skip.values() if time < 0):
            return self.place
        out = self._counts.out + self._skip.get(STDOUT, [0, 0])[1]
        return Counts(out, self._counts.err + self._skip.get(STDERR, [0, 0])[1], self._heard)

    @property
    def cursor(self) -> str:
        """Where to go on, as text."""
        return str(self.where)


def _earliest(mark: Mark, latest: int) -> int:
    return mark.time if mark.open else max(mark.time, latest - _SLACK_NS)

"""Places in a job's log: where a reader is, as text, and what it has seen already: pure.

The log can be read from a second on (``sinceTime``), not from a byte, and lines of the two streams
are not quite in the order of their times. But what the kubelet gives from a second on is always
the same: every line of that time or later, in the order of the log. So a place is a second and how
many bytes of this were read. Should the node have dropped the older part of the log meanwhile
(rotation), fewer bytes are there to be left out: what is later than all that was read is new. Where
nothing of what was read is there, something that was not may have been dropped with it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from attrs import frozen
from spawnery.errors import InvalidSpec

from spawnery_kubernetes.objects.timestamps import Piece

_NANO: Final = 1_000_000_000
_SLACK_SECONDS: Final = 2
"""By more than this a line is never older than one before it."""
_TEXT: Final = re.compile(r"t(\d{1,12})\.(\d{1,18})\.(\d{1,21})", re.ASCII)


@frozen
class Place:
    """A place in a log.

    Attributes:
        second: Since the epoch; 0: from the start.
        size: Bytes of lines of this second or later that lie before it.
        newest: The latest time of these, in nanoseconds since the epoch.
    """

    second: int = 0
    size: int = 0
    newest: int = 0

    def __str__(self) -> str:
        """Write it as a cursor."""
        return f"t{self.second}.{self.size}.{self.newest}"

    @property
    def since(self) -> str | None:
        """Its second as the API takes it (RFC 3339); None: from the start."""
        if not self.second:
            return None
        return datetime.fromtimestamp(self.second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(cursor: str) -> Place:
    """Read a cursor.

    Raises:
        InvalidSpec: It is none of ours.
    """
    match = _TEXT.fullmatch(cursor)
    if match is None:
        msg = f"cursor: {cursor[:40]!r} is not a place in a log of the Kubernetes cluster"
        raise InvalidSpec(msg, field="cursor", hint="take it from LogChunk.cursor")
    return Place(*(int(part) for part in match.groups()))


class Position:
    """Where a reader is; tells new bytes from those that it has seen before it was interrupted.

    Args:
        start: Where reading goes on.

    Attributes:
        gap: Whether something may be missing between the start and what came first.
    """

    def __init__(self, start: Place) -> None:
        self.gap = False
        self._start = start
        self._skip = start.size
        self._sizes: dict[int, int] = {}
        self._second = start.second
        self._newest = start.newest

    def admit(self, piece: Piece) -> bytes:
        """Take in the next piece that the log has from the start's second on.

        Returns:
            What of it is new.
        """
        data, second = piece.data, piece.time // _NANO
        if self._skip and piece.time > self._start.newest:
            self.gap = self.unseen
            self._skip = 0
            self._sizes.clear()
        self._sizes[second] = self._sizes.get(second, 0) + len(data)
        if second - _SLACK_SECONDS > self._second:
            self._second = second - _SLACK_SECONDS
            self._sizes = {at: n for at, n in self._sizes.items() if at >= self._second}
        self._newest = max(self._newest, piece.time)
        new = data[self._skip :]
        self._skip -= len(data) - len(new)
        return new

    @property
    def unseen(self) -> bool:
        """Whether something was read before the start, and nothing of it came so far."""
        return 0 < self._skip == self._start.size

    @property
    def place(self) -> Place:
        """The place behind everything that was admitted."""
        if self._skip:
            return self._start
        size = sum(n for at, n in self._sizes.items() if at >= self._second)
        return Place(self._second, size, self._newest)

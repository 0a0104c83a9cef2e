"""The last bytes of a log, exactly, with the places behind each piece."""

from __future__ import annotations

import collections
from typing import Final

from spawnery.contract import LogsRequest
from spawnery_docker.cursors import Position
from spawnery_docker.demux import Message
from spawnery_docker.logreader import LogReader

_USUAL_LINE: Final = 64
_MORE: Final = 16

Piece = tuple[Message, str]
"""A message, and the cursor behind it."""


def last_bytes(
    reader: LogReader, request: LogsRequest, engine_id: str, size: int
) -> tuple[list[Piece], Position]:
    """Read the last ``size`` bytes of a log; the engine knows lines only, so more is asked for.

    Returns:
        The pieces, the first one cut to size, and the position behind all.
    """
    lines = max(_USUAL_LINE, size // _USUAL_LINE)
    while True:
        found = _Window(size)
        messages = reader.open(request, engine_id, follow=False, lines=lines)
        try:
            for message in messages:
                found.add(message)
        finally:
            messages.close()
        if found.count < lines:
            return found.pieces(sure_only=False), found.position
        if found.sure >= size:
            return found.pieces(sure_only=True), found.position
        lines *= _MORE


class _Window:
    """The end of a log, as it runs through.

    Of messages that have the very time of their stream's first one, others may lie before the
    window; the place behind such a message is not certain unless the window is the whole log.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: collections.deque[tuple[Message, str, bool]] = collections.deque()
        self._held = 0
        self._first: dict[int, int] = {}
        self.position = Position()
        self.count = 0
        self.sure = 0

    def add(self, message: Message) -> None:
        """Take in the next message."""
        stream, time, data = message
        sure = self._first.setdefault(stream, time) != time
        self.count += 1
        self.position.admit(stream, time, data)
        self._kept.append((message, self.position.cursor, sure))
        self._held += len(data)
        self.sure += len(data) if sure else 0
        while self._held - len(self._kept[0][0][2]) >= self._size:
            old, _, was_sure = self._kept.popleft()
            self._held -= len(old[2])
            self.sure -= len(old[2]) if was_sure else 0

    def pieces(self, *, sure_only: bool) -> list[Piece]:
        """Return the last bytes."""
        kept = [(message, cursor) for message, cursor, sure in self._kept if sure or not sure_only]
        over = sum(len(message[2]) for message, _ in kept) - self._size
        if over > 0:
            (stream, time, data), cursor = kept[0]
            kept[0] = (stream, time, data[over:]), cursor
        return kept

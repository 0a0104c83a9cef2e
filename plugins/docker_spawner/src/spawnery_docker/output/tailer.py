"""The last bytes of a log, exactly, with the places behind each piece."""

from __future__ import annotations

import collections
from typing import Final

from spawnery.contract import LogsRequest

from spawnery_docker.output.cursors import Place, Position
from spawnery_docker.output.demux import Message
from spawnery_docker.output.reader import LogReader

_USUAL_LINE: Final = 64
_MORE: Final = 16

Piece = tuple[Message, Place]
"""A message, and the place behind it."""


def last_bytes(
    reader: LogReader, request: LogsRequest, engine_id: str, size: int
) -> tuple[list[Piece], Place]:
    """Read the last ``size`` bytes of a log; the engine knows lines only, so more is asked for.

    Returns:
        The pieces, the first one cut to size, and the place behind all.
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
            return found.pieces(begins=0), found.position.place
        if found.sure:
            return found.pieces(begins=found.begins), found.position.place.assuming(found.begins)
        lines *= _MORE


class _Window:
    """The end of a log, as it runs through.

    Of messages that have the very time of their stream's first one, others may lie before the
    window; the place behind such a message is not certain unless the window is the whole log.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: collections.deque[tuple[Message, Place, bool]] = collections.deque()
        self._held = 0
        self._first: dict[int, int] = {}
        self.position = Position()
        self.begins = 0
        self.count = 0

    def add(self, message: Message) -> None:
        """Take in the next message."""
        stream, time, data = message
        self.begins = self.begins or time
        sure = self._first.setdefault(stream, time) != time
        self.count += 1
        self.position.admit(stream, time, data)
        self._kept.append((message, self.position.place, sure))
        self._held += len(data)
        while self._held - len(self._kept[0][0][2]) >= self._size:
            old, _, _ = self._kept.popleft()
            self._held -= len(old[2])

    @property
    def sure(self) -> bool:
        """Whether there is enough, and the place behind each piece is certain."""
        return self._held >= self._size and all(sure for _, _, sure in self._kept)

    def pieces(self, *, begins: int) -> list[Piece]:
        """Return the last bytes.

        Args:
            begins: Time of the window's first message; 0 where it is that of the log.
        """
        pieces = [(message, place.assuming(begins)) for message, place, _ in self._kept]
        over = self._held - self._size
        if over > 0:
            (stream, time, data), place = pieces[0]
            pieces[0] = (stream, time, data[over:]), place
        return pieces

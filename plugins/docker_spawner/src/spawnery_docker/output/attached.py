"""What is heard of one job over a connection that was attached before its start."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from spawnery.toolkit import Tail

from spawnery_docker.output.demux import DaemonTrouble, Demultiplexer, Malformed, Message
from spawnery_docker.output.follow_buffer import FollowBuffer

_LAG: Final = 2.0
"""Seconds for which the last of a log may come after the word on the exit."""


class AttachedLog:
    """Keeps the end of a log, and all of it for who follows.

    Args:
        name: Name of the container.
        tail: Keeps the end; secrets are masked in its text.
        buffer: Keeps all, None where nobody follows.
    """

    def __init__(self, name: str, tail: Tail, buffer: FollowBuffer | None) -> None:
        self.name = name
        self.buffer = buffer
        self.ended = threading.Event()
        self._tail = tail
        self._missing = ""
        self._demux = Demultiplexer(stamped=False)
        self._lock = threading.Lock()

    def hear(self, data: bytes) -> None:
        """Take in a piece of the connection's bytes."""
        try:
            said = _joined(self._demux.feed(data))
        except (Malformed, DaemonTrouble) as error:
            self.fail(f"what the engine sent of it cannot be read: {error}")
            return
        with self._lock:
            for stream, text in said:
                self._tail.add(stream, text)
        if self.buffer is not None:
            for stream, text in said:
                self.buffer.write(stream, text)

    def fail(self, reason: str) -> None:
        """Remember why nothing, or nothing more, can be heard."""
        self._missing = reason
        self.end()

    def end(self) -> None:
        """Nothing more will be heard."""
        self.ended.set()
        if self.buffer is not None:
            self.buffer.end()

    def text(self) -> tuple[str | None, str]:
        """Return the end of the log of a job that has ended, or None and the reason."""
        self.ended.wait(_LAG)
        if self._missing:
            return None, self._missing
        with self._lock:
            return self._tail.text(), ""


def _joined(messages: Iterable[Message]) -> list[tuple[int, bytes]]:
    """Join neighbours of the same stream."""
    joined: list[tuple[int, list[bytes]]] = []
    for stream, _, data in messages:
        if joined and joined[-1][0] == stream:
            joined[-1][1].append(data)
        else:
            joined.append((stream, [data]))
    return [(stream, b"".join(parts)) for stream, parts in joined]

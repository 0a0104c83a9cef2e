"""Listens to one log and keeps its end."""

from __future__ import annotations

import threading

from spawnery.toolkit import Tail

from spawnery_kubernetes.calls.http_stream import LineStream
from spawnery_kubernetes.errors import Broken
from spawnery_kubernetes.objects.timestamps import Stamps


class FollowedTail:
    """What was heard of a log. One thread listens; any thread may close.

    Attributes:
        over: Set when there is no more to hear.
        whole: Whether the log was heard to its end.
        heard: Whether anything was.
        trouble: Why nothing was, if so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tail: Tail | None = None
        self._stream: LineStream | None = None
        self.closed = threading.Event()
        self.over = threading.Event()
        self.whole = False
        self.trouble = ""

    @property
    def heard(self) -> bool:
        """Whether anything was heard."""
        return self._tail is not None

    def hear(self, stream: LineStream, tail: Tail) -> None:
        """Read a log; what is heard takes the place of what was heard of it before.

        Args:
            stream: The log, from somewhere before its end.
            tail: Keeps its end.
        """
        with self._lock:
            self._stream = stream
        if self.closed.is_set():
            stream.close()
        stamps = Stamps()
        try:
            while data := stream.read1():
                pieces = stamps.feed(data)
                with self._lock:
                    for piece in pieces:
                        tail.add(0, piece.data)
                        self._tail = tail
            self.whole = not self.closed.is_set()
        except Broken as error:
            self.trouble = f"its log could not be read: {error}"
        finally:
            stream.close()
        stamps.end()
        if stamps.said:
            self.trouble = f"the node does not give its log: {stamps.said.strip()}"

    def text(self) -> tuple[str | None, str | None]:
        """Return what was heard, or None and why there is nothing."""
        with self._lock:
            if self._tail is not None:
                return self._tail.text(), None
            return (None, self.trouble) if self.trouble or not self.whole else ("", None)

    def close(self) -> None:
        """Stop listening; what was heard stays."""
        self.closed.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

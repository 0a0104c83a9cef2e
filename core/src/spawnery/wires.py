"""Connections to an engine, for spawners: which are kept for the next request, which are dead."""

from __future__ import annotations

import select
import socket
import threading
from typing import Final, Generic, Protocol, TypeVar

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class Keepable(Protocol):
    """A connection that may serve several requests, one after the other."""

    @property
    def dropped(self) -> bool:
        """Whether the other side has closed it."""

    def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Keepable)


class Kept(Generic[C]):
    """Connections that nobody uses at the moment; any number of threads may take and give.

    Args:
        limit: How many are kept at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: list[C] = []
        self._closed = False

    def take(self) -> C | None:
        """Return the one that was used last and is not dropped; None where there is none."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or not connection.dropped:
                return connection
            connection.close()

    def keep(self, connection: C) -> None:
        """Take back a connection whose answer was read to its end; one too many is closed."""
        with self._lock:
            if len(self._idle) < self._limit and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close all, and those that are in use when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def is_dropped(sock: socket.socket) -> bool:
    """Tell whether the other side has closed an idle connection: nothing else makes it readable."""
    poll = select.poll()  # select(2) takes no descriptor over 1023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def keep_alive(sock: socket.socket) -> None:
    """Send at once, and let a peer that is gone without a word end who waits (half-open TCP)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)

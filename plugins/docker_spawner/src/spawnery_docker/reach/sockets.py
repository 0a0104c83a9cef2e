"""One thread that reads many sockets: the waits and attached logs of all live jobs."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

from attrs import frozen

_PIECE: Final = 64 * 1024


@frozen
class _Reader:
    on_data: Callable[[bytes], None]
    on_end: Callable[[], None]
    first: bytes


class Sockets:
    """Reads sockets and hands over what comes; starts its thread with the first one.

    Callbacks run in that thread and must not block.

    Args:
        start_thread: Starts a daemon thread.
    """

    def __init__(self, start_thread: Callable[[str, Callable[[], None]], object]) -> None:
        self._start_thread = start_thread
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._new: list[tuple[socket.socket, _Reader]] = []
        self._dropped: set[socket.socket] = set()
        self._running = False
        self._closed = False
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ)

    def add(
        self,
        sock: socket.socket,
        on_data: Callable[[bytes], None],
        on_end: Callable[[], None],
        *,
        first: bytes = b"",
    ) -> None:
        """Read a socket until it ends; it is closed then.

        Args:
            sock: Taken over.
            on_data: Called with each piece.
            on_end: Called once, when no more comes; not after ``drop``.
            first: What came already; handed over before the rest.
        """
        with self._lock:
            if not self._closed:
                self._new.append((sock, _Reader(on_data, on_end, first)))
                starting, self._running = not self._running, True
                if starting:
                    self._start_thread("spawnery-docker-sockets", self._run)
                self._wake()
                return
        sock.close()

    def drop(self, sock: socket.socket) -> None:
        """Stop reading a socket, and close it."""
        with self._lock:
            self._dropped.add(sock)
            self._wake()

    def close(self) -> None:
        """Close all sockets; nobody is called any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake()
            if self._running:
                return
        self._clear()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_in, b"x")

    def _run(self) -> None:
        while self._take_orders():
            for key, _ in self._selector.select():
                if key.fileobj == self._wake_out:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_out, _PIECE)
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj, key.data)
        self._clear()

    def _take_orders(self) -> bool:
        """Begin with new sockets and let go of dropped ones; False when all is over."""
        with self._lock:
            if self._closed:
                return False
            new, self._new = self._new, []
            dropped, self._dropped = self._dropped, set()
        for sock, reader in new:
            if sock in dropped:
                dropped.discard(sock)
                sock.close()
            else:
                sock.settimeout(0)
                self._selector.register(sock, selectors.EVENT_READ, reader)
                if reader.first:
                    reader.on_data(reader.first)
        for sock in dropped:
            self._forget(sock)
        return True

    def _read(self, sock: socket.socket, reader: _Reader) -> None:
        try:
            data = sock.recv(_PIECE)
            # TLS may hold decrypted bytes of which the selector knows nothing.
            while data and isinstance(sock, ssl.SSLSocket) and sock.pending():
                data += sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if data:
            reader.on_data(data)
        else:
            self._forget(sock)
            reader.on_end()

    def _forget(self, sock: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)
        sock.close()

    def _clear(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        for sock, _ in self._new:
            sock.close()
        self._selector.close()
        os.close(self._wake_out)
        os.close(self._wake_in)

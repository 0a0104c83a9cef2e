"""An HTTP proxy, as companies have it between people and their engines."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PATIENCE = 30.0


class ConnectProxy:
    """Connects whoever asks to wherever they ask for.

    ``CONNECT`` makes a tunnel; other requests, with a whole URL, go on as they are.

    Args:
        login: ``user:password`` that it wants; None where anybody may.
        leads_to: ``host:port`` or the path of a unix socket that all targets lead to; None for the
            targets themselves.

    Attributes:
        address: ``host:port``.
        asked: The targets so far.
    """

    def __init__(self, login: str | None = None, *, leads_to: str | None = None) -> None:
        self._leads_to = leads_to
        self._wanted = base64.b64encode(login.encode()) if login else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(line,), daemon=True).start()

    def _connect(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            with line.makefile("rb", buffering=0) as file:
                head = list(iter(file.readline, b"\r\n"))
            method, target = head[0].decode().split()[:2]
            tunnel = method == "CONNECT"
            target = target if tunnel else urlsplit(target).netloc
            if self._wanted is not None and not any(self._wanted in field for field in head):
                line.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
                return
            self.asked.append(target)
            with _connected(self._leads_to or target) as there:
                if tunnel:
                    line.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    there.sendall(b"".join(head) + b"\r\n")
                back = threading.Thread(target=_pour, args=(there, line), daemon=True)
                back.start()
                _pour(line, there)
                back.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _connected(target: str) -> socket.socket:
    if target.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(target)
        return sock
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

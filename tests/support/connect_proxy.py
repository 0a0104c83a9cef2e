"""An HTTP proxy that knows CONNECT, as companies have it between people and clusters."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

PATIENCE = 30.0


class ConnectProxy:
    """Connects whoever asks to wherever they ask for.

    Args:
        login: ``user:password`` that it wants; None where anybody may.

    Attributes:
        address: ``host:port``.
        asked: The targets so far.
    """

    def __init__(self, login: str | None = None) -> None:
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
            with line.makefile("rb") as file:
                head = list(iter(file.readline, b"\r\n"))
            target = head[0].split()[1].decode()
            if self._wanted is not None and not any(self._wanted in field for field in head):
                line.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
                return
            self.asked.append(target)
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), PATIENCE) as there:
                line.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
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


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

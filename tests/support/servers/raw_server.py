"""A server that answers with exactly the bytes that a test gives it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

Script = Callable[[socket.socket], None]
PATIENCE = 30.0


def says(*pieces: bytes, pause: float = 0.0) -> Script:
    """Answer with these pieces, then close."""

    def play(line: socket.socket) -> None:
        for piece in pieces:
            line.sendall(piece)
            time.sleep(pause)

    return play


def whole(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Make an answer with its length, after which the connection ends."""
    fields = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawServer:
    """Plays one script for each connection, the last one for all that follow.

    Args:
        scripts: What to do once a request is there.

    Attributes:
        address: ``http://host:port``.
        asked: The requests so far, as they came.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[bytes] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                line, _peer = self._listener.accept()
            except OSError:
                return
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            thread = threading.Thread(target=self._answer, args=(line, script), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, line: socket.socket, script: Script) -> None:
        with line, contextlib.suppress(OSError):
            line.settimeout(PATIENCE)
            with line.makefile("rb") as file:
                head = b"".join(iter(file.readline, b"\r\n"))
                length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
                body = file.read(int(length[1])) if length else b""
            self.asked.append(head + b"\r\n" + body)
            script(line)

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
        for thread in self._threads:
            thread.join(PATIENCE)

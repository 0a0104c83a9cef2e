"""Exchanges whose answer is not read at once: streams, waits, attached connections."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from spawnery_docker.chunked import Dechunker

_HEAD_LIMIT: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_LINE_LIMIT: Final = 1024 * 1024


class _Reader(io.BufferedReader):
    """What an ``HTTPResponse`` reads from.

    Closing a response flushes its file, although nothing was written. A response that is collected
    together with its file may find the file closed: then Python 3.13, and others with ``-X dev``,
    print an error.
    """

    def flush(self) -> None:
        """Do nothing, also when closed."""


class _Fed(io.RawIOBase):
    """A socket as a file, with bytes before it that were read already."""

    def __init__(self, sock: socket.socket, before: bytes) -> None:
        super().__init__()
        self._sock = sock
        self._before = before

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        if self._before:
            size = min(len(view), len(self._before))
            view[:size] = self._before[:size]
            self._before = self._before[size:]
            return size
        return self._sock.recv_into(view)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Stand in for the socket that ``http.client.HTTPResponse`` expects."""
        return _Reader(self, _PIECE)


class RawExchange:
    """One request on a connection of its own; its answer's header is read by hand.

    So nothing of the body is hidden in a buffer, and a selector can read the socket.

    Args:
        sock: The connection; this object closes it.
        method, target: The request line.
        body: The body, None without one.
        headers: Header fields.
    """

    def __init__(
        self,
        sock: socket.socket,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> None:
        self.sock = sock
        self.status = 0
        self.headers: dict[str, str] = {}
        self.rest = b""
        self._head = b""
        fields = {"Connection": "close", "Content-Length": str(len(body or b"")), **headers}
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def read_head(self) -> None:
        """Read status and header fields; ``rest`` holds what came behind them.

        Raises:
            OSError, http.client.HTTPException: None came.
        """
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(_PIECE)
            if not piece:
                msg = "the connection was closed before an answer"
                raise http.client.RemoteDisconnected(msg)
            data += piece
            if len(data) > _HEAD_LIMIT:
                msg = "header"
                raise http.client.LineTooLong(msg)
        head, self.rest = data.split(b"\r\n\r\n", 1)
        self._head = head + b"\r\n\r\n"
        first, *lines = head.decode("latin-1").split("\r\n")
        parts = first.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():  # noqa: PLR2004
            raise http.client.BadStatusLine(first[:80])
        self.status = int(parts[1])
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip(): value.strip() for name, _, value in pairs}

    def decode(self, data: bytes) -> bytes:
        """Decode a body that was read by a selector until the connection was closed.

        Args:
            data: All bytes that came behind ``rest``.

        Raises:
            http.client.HTTPException: It ends too early.
        """
        whole = io.BytesIO(self._head + self.rest + data)
        response = http.client.HTTPResponse(cast("socket.socket", _Memory(whole)))
        response.begin()
        return response.read()

    def read_body(self) -> bytes:
        """Read the body of an answer that comes at once."""
        with contextlib.closing(self.stream()) as stream:
            return b"".join(iter(stream.read1, b""))

    def stream(self) -> ByteStream:
        """Go on as a stream of the body's bytes, which then owns the connection."""
        fed = _Fed(self.sock, self._head + self.rest)
        response = http.client.HTTPResponse(cast("socket.socket", fed))
        response.begin()
        return ByteStream(self.sock, response)

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


class _Memory:
    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._file


class ByteStream:
    """The body of an answer, as it comes. One thread reads; any thread may close.

    Args:
        sock: The connection.
        response: The answer on it, whose header was read.
    """

    def __init__(self, sock: socket.socket, response: http.client.HTTPResponse) -> None:
        self._sock = sock
        self._response = response
        self.headers: Mapping[str, str] = dict(response.getheaders())
        self.closed = False
        self._chunks = Dechunker() if response.chunked else None

    def read1(self, size: int = _PIECE) -> bytes:
        """Wait for the next bytes; empty at a clean end and after ``close``.

        Raises:
            OSError, http.client.HTTPException: The connection broke before the end.
        """
        try:
            data = self._response.read1(size) if self._chunks is None else self._of_chunks()
        except (OSError, ValueError, http.client.HTTPException):
            if self.closed:
                return b""
            raise
        if self._chunks is not None:
            return data
        ended = self._response.isclosed() or self._response.length == 0
        if not data and not self.closed and not ended:
            msg = "the connection was closed inside the answer"
            raise http.client.RemoteDisconnected(msg)
        return data

    def _of_chunks(self) -> bytes:
        """Read the next bytes of a chunked body; empty when its last chunk was seen."""
        chunks, file = cast("Dechunker", self._chunks), self._response.fp
        while not chunks.over:
            raw = file.read1(_PIECE)
            if not raw:
                msg = "the connection was closed inside the answer"
                raise http.client.RemoteDisconnected(msg)
            data = chunks.feed(raw)
            if data:
                return data
        return b""

    def close(self) -> None:
        """End it: a reader that waits wakes up at once."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def text_of_error(body: bytes) -> str:
    """Return the engine's words out of an error's body (``{"message": ...}``)."""
    try:
        found = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()
    if isinstance(found, dict) and "message" in found:
        return str(found["message"])
    return str(found)


def json_lines(stream: ByteStream) -> Iterator[Mapping[str, Any]]:
    """Decode a stream of JSON objects, one per line; what is none is passed over."""
    buffer = b""
    while data := stream.read1():
        *whole, buffer = (buffer + data).split(b"\n")
        for raw in whole:
            yield from _decoded(raw)
        if len(buffer) > _LINE_LIMIT:
            buffer = b""
    yield from _decoded(buffer)


def _decoded(raw: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        line = json.loads(raw)
    except ValueError:
        return
    if isinstance(line, dict):
        yield line

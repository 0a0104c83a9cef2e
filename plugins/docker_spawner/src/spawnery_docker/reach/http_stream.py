"""Answers that are not read at once: streams, and bare sockets for a selector.

They are read below the package's helpers, which end a stream that broke like one that is over
(docker-py 7.2, types/daemon.py).
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from requests import Response
from urllib3.exceptions import HTTPError

from spawnery_docker.reach.transport import body_of, root_of, shut, taken, wire_of

_PIECE: Final = 64 * 1024
_LINE_LIMIT: Final = 1024 * 1024
_HEAD_LIMIT: Final = 4096


class ByteStream:
    """The body of an answer, as it comes. One thread reads; any thread may close.

    Args:
        answer: Whose header was read; its connection is not used for anything else.
    """

    def __init__(self, answer: Response) -> None:
        self.closed = False
        self._answer = answer
        self._wire = wire_of(answer)
        self._wire.settimeout(None)
        self._reading = threading.Lock()
        self._pieces = (
            _chunks(body_of(answer))
            if answer.raw.chunked
            else iter(lambda: answer.raw.read1(_PIECE), b"")
        )

    def read1(self) -> bytes:
        """Wait for the next bytes; empty at a clean end and after ``close``.

        Raises:
            OSError: The connection broke before the end.
        """
        with self._reading:
            if self.closed:
                return b""
            try:
                return next(self._pieces, b"")
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                if self.closed:
                    return b""
                words = str(root_of(error)) or type(error).__name__
                msg = f"the connection was closed inside the answer ({words})"
                raise ConnectionResetError(msg) from None

    def close(self) -> None:
        """End it: a reader that waits wakes up at once."""
        self.closed = True
        shut(self._wire)
        with self._reading:
            self._answer.close()


def _chunks(file: io.BufferedReader) -> Iterator[bytes]:
    """Decode a chunked body (RFC 9112, section 7.1); yields what each read brought.

    urllib3 (2.8) yields each chunk by itself, and the engine sends each line of a log as a
    chunk; so to follow a log took three times as long. Its ``read1`` waits for more than there is.

    Raises:
        http.client.HTTPException, ValueError, OSError: It is not chunked, or ends before the last
            chunk.
    """
    buffer, left = b"\r\n", 0  # a size stands behind the end of the chunk before
    while data := file.read1(_PIECE):
        buffer += data
        at, found = 0, []
        while at < len(buffer):
            if left:
                found.append(buffer[at : at + left])
                at += len(found[-1])
                left -= len(found[-1])
                continue
            end = buffer.find(b"\r\n", at + 2)
            if end < 0:
                break
            left = int(buffer[at:end].partition(b";")[0], 16)
            if left < 0 or not buffer.startswith(b"\r\n", at):
                msg = f"not the size of a chunk: {buffer[at:end][:40]!r}"
                raise http.client.HTTPException(msg)
            at = end + 2
            if not left:
                yield b"".join(found)
                return
        buffer = buffer[at:]
        if len(buffer) > _HEAD_LIMIT:
            msg = "chunk size"
            raise http.client.LineTooLong(msg)
        if found:
            yield b"".join(found)
    raise http.client.IncompleteRead(buffer)


class Held:
    """An answer that a selector reads, as its bare socket.

    Args:
        answer: Whose header was read.

    Attributes:
        sock: The connection; whoever asked closes it.
        rest: What came of the body with the header.
    """

    def __init__(self, answer: Response) -> None:
        self._chunked = bool(answer.raw.chunked)
        self.sock, self.rest = taken(answer)

    def decode(self, data: bytes) -> bytes:
        """Decode a body of which all is there.

        Args:
            data: All bytes that came, ``rest`` first.

        Raises:
            http.client.HTTPException: It ends too early.
        """
        if not self._chunked:
            return data
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        response = http.client.HTTPResponse(cast("socket.socket", _Memory(head + data)))
        response.begin()
        return response.read()


class _Memory(io.BytesIO):
    """What was received, in place of the socket that ``http.client.HTTPResponse`` expects."""

    def makefile(self, _mode: str) -> io.BytesIO:
        return self


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
    with contextlib.suppress(ValueError):
        line = json.loads(raw)
        if isinstance(line, dict):
            yield line

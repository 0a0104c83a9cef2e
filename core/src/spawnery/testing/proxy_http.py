"""The part of HTTP/1.1 that a transparent proxy must understand: where messages begin and end.

Bytes are passed on as they came; nothing is added, merged or left out. Message framing follows
RFC 9112, section 6.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Literal

from attrs import frozen

BLOCK = 65536
_HIJACKED = ("application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream")


@frozen
class Head:
    """The head of a request or response.

    Args:
        raw: Its bytes, with the empty line at the end.
        start: The three parts of the first line.
        fields: Header fields in order, names in lower case.
    """

    raw: bytes
    start: tuple[str, str, str]
    fields: tuple[tuple[str, str], ...]

    def tokens(self, name: str) -> set[str]:
        """The comma-separated values of a header field, in lower case."""
        values = ",".join(value for key, value in self.fields if key == name)
        return {token.strip().lower() for token in values.split(",") if token.strip()}

    @property
    def status(self) -> int:
        """The status code of a response."""
        return int(self.start[1])

    def keeps_alive(self) -> bool:
        """Whether the sender is ready for another message on this connection."""
        version = self.start[2] if self.start[2].startswith("HTTP/") else self.start[0]
        options = self.tokens("connection")
        return "close" not in options and (version != "HTTP/1.0" or "keep-alive" in options)


@frozen
class Framing:
    """How the end of a body is known; ``length`` in bytes (0 for other kinds)."""

    kind: Literal["none", "length", "chunked", "close"]
    length: int = 0


@frozen
class Piece:
    """Some bytes of a message body; ``payload`` is False for the framing around chunks."""

    data: bytes
    payload: bool


class BadMessage(ConnectionError):
    """The peer ended in the middle of a message, or sent what is not HTTP/1.1."""


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read the head of the next message; None when the connection ends before it.

    Raises:
        BadMessage: It ends inside the head, or this is no HTTP head.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if not cut.partial:
            return None
        message = "the connection ended inside a message head"
        raise BadMessage(message) from cut
    except asyncio.LimitOverrunError as large:
        message = "the message head is too large"
        raise BadMessage(message) from large
    first, *lines = raw.decode("latin-1").strip("\r\n").split("\r\n")
    start = [*first.split(" ", 2), "", ""]
    if not start[1]:
        message = f"no HTTP/1.1 start line: {first[:80]!r}"
        raise BadMessage(message)
    pairs = (line.partition(":") for line in lines)
    fields = tuple((name.strip().lower(), value.strip()) for name, _colon, value in pairs)
    return Head(raw, (start[0], start[1], start[2]), fields)


def request_framing(head: Head) -> Framing:
    """How the body of a request ends."""
    framing = _declared(head)
    return Framing("none") if framing.kind == "close" else framing


def response_framing(method: str, head: Head) -> Framing:
    """How the body of the response to ``method`` ends."""
    empty = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    if method == "HEAD" or head.status < HTTPStatus.OK or head.status in empty:
        return Framing("none")
    return _declared(head)


def becomes_pipe(method: str, head: Head) -> bool:
    """Whether the connection carries another protocol after this response head.

    101 says so; Docker's attach and exec also do it after a 200 with one of their stream types
    (https://docs.docker.com/reference/api/engine/, ContainerAttach, "Hijacking").
    """
    if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return True
    hijacked = bool(head.tokens("content-type").intersection(_HIJACKED))
    return method == "POST" and hijacked and _declared(head).kind == "close"


def _declared(head: Head) -> Framing:
    """What Transfer-Encoding and Content-Length say."""
    if "chunked" in head.tokens("transfer-encoding"):
        return Framing("chunked")
    lengths = head.tokens("content-length")
    if not lengths:
        return Framing("close")
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        message = f"Content-Length is not one number: {text[:40]!r}"
        raise BadMessage(message)
    return Framing("length", int(text))


async def body_pieces(reader: asyncio.StreamReader, framing: Framing) -> AsyncIterator[Piece]:
    """Yield a body as it arrives, without waiting for more than one byte at a time.

    Raises:
        BadMessage: The connection ends before the body does.
    """
    if framing.kind == "length":
        async for piece in _exactly(reader, framing.length):
            yield piece
    elif framing.kind == "chunked":
        async for piece in _chunks(reader):
            yield piece
    elif framing.kind == "close":
        while data := await reader.read(BLOCK):
            yield Piece(data, payload=True)


async def _exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[Piece]:
    """Yield ``length`` bytes of payload."""
    while length:
        data = await reader.read(min(length, BLOCK))
        if not data:
            message = f"the connection ended {length} bytes before the body did"
            raise BadMessage(message)
        length -= len(data)
        yield Piece(data, payload=True)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[Piece]:
    """Yield a chunked body, the trailer included (RFC 9112, section 7.1)."""
    while True:
        line = await _line(reader)
        try:
            size = int(line.split(b";", 1)[0], 16)
        except ValueError as wrong:
            message = f"no chunk size: {line[:40]!r}"
            raise BadMessage(message) from wrong
        yield Piece(line, payload=False)
        if size == 0:
            break
        async for piece in _exactly(reader, size):
            yield piece
        yield Piece(await _line(reader), payload=False)
    while True:
        line = await _line(reader)
        yield Piece(line, payload=False)
        if line == b"\r\n":
            return


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Read one line of chunk framing."""
    try:
        return await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as cut:
        message = "the connection ended inside chunk framing"
        raise BadMessage(message) from cut

"""Sockets of the fault proxy: addresses, connections, half-close, reset, transparent pipe."""

from __future__ import annotations

import array
import asyncio
import contextlib
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

from spawnery.errors import ConfigurationError
from spawnery.testing.proxy_http import BLOCK

if TYPE_CHECKING:
    import ssl

LIMIT = 256 * 1024
_FLUSH_SECONDS = 30.0
_GOODBYE_SECONDS = 1.0
"""For the peer's end of TLS: one that is gone, or deep in work, never says it."""
_BACKLOG = 512
_LINGER_RESET = struct.pack("ii", 1, 0)


@frozen
class Address:
    """Where an engine listens: a unix socket (``path``) or TCP (``host``, ``port``)."""

    path: str | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``unix:///path`` or ``tcp://host:port``.

        Raises:
            ConfigurationError: It is neither.
        """
        parts = urlsplit(text)
        if parts.scheme == "unix" and not parts.netloc and parts.path:
            return cls(path=parts.path)
        with contextlib.suppress(ValueError):
            if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
                return cls(host=parts.hostname, port=parts.port)
        message = f"{text!r} is no address of an engine API."
        raise ConfigurationError(message, hint="Write unix:///path or tcp://host:port.")

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


class Doorway:
    """A listening socket that can refuse connections and accept them again at one address.

    Raises:
        ConfigurationError: The address cannot be bound.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._held: socket.socket | None = None
        self.listener: socket.socket | None = None
        try:
            self._hold()
            self.open()
        except OSError as wrong:
            self.close()
            message = f"The proxy cannot listen at {address}: {wrong}."
            hint = "Give another listen address, or none for a free port of 127.0.0.1."
            raise ConfigurationError(message, hint=hint) from wrong

    def _hold(self) -> None:
        """Choose the port and, on Linux, keep it ours by a bound socket that never listens."""
        if self.address.path is not None:
            return
        held = self._bound()
        self.address = Address(host=self.address.host, port=held.getsockname()[1])
        if sys.platform == "linux":
            self._held = held
        else:
            held.close()

    def _bound(self) -> socket.socket:
        """Return a new socket bound to the address."""
        if self.address.path is not None:
            Path(self.address.path).unlink(missing_ok=True)
            family, target = socket.AF_UNIX, self.address.path
            bound = socket.socket(family, socket.SOCK_STREAM)
        else:
            family = socket.AF_INET6 if ":" in self.address.host else socket.AF_INET
            bound = socket.socket(family, socket.SOCK_STREAM)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if self.address.path is not None:
                bound.bind(target)
            else:
                bound.bind((self.address.host, self.address.port))
        except OSError:
            bound.close()
            raise
        bound.setblocking(False)  # noqa: FBT003
        return bound

    def open(self) -> None:
        """Listen, if not listening already."""
        if self.listener is None:
            self.listener = self._bound()
            self.listener.listen(_BACKLOG)

    def shut(self) -> None:
        """Refuse connections; the file of a unix socket stays, as after a crash."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def close(self) -> None:
        """Give the address back; idempotent."""
        self.shut()
        if self._held is not None:
            self._held.close()
            self._held = None
        if self.address.path is not None:
            Path(self.address.path).unlink(missing_ok=True)


class _Reader(asyncio.StreamReader):
    """A stream reader that tells of the end of its input before all of it is read."""

    def __init__(self) -> None:
        super().__init__(limit=LIMIT)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        """The peer sends no more."""
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: BaseException) -> None:
        """The connection broke."""
        super().set_exception(exc)  # type: ignore[arg-type]
        self.ended.set()


class Wire:
    """One connection, of a caller or to the engine."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        # So drain() waits until nothing is left. TLS transports pause at the limit, not above it:
        # with zero they would never go on.
        secure = writer.get_extra_info("sslcontext") is not None
        writer.transport.set_write_buffer_limits(high=1 if secure else 0)

    @classmethod
    async def accepted(cls, sock: socket.socket, tls: ssl.SSLContext | None) -> Wire:
        """Take over an accepted socket."""
        loop = asyncio.get_running_loop()
        reader = _Reader()
        transport, protocol = await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader),
            sock,
            ssl=tls,
            ssl_shutdown_timeout=_goodbye(tls),
        )
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    @classmethod
    async def connect(cls, address: Address, tls: ssl.SSLContext | None) -> Wire:
        """Connect to the engine."""
        loop = asyncio.get_running_loop()
        reader = _Reader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.Transport
        if address.path is not None:
            name = "localhost" if tls else None
            transport, _ = await loop.create_unix_connection(
                lambda: protocol,
                address.path,
                ssl=tls,
                server_hostname=name,
                ssl_shutdown_timeout=_goodbye(tls),
            )
        else:
            transport, _ = await loop.create_connection(
                lambda: protocol,
                address.host,
                address.port,
                ssl=tls,
                ssl_shutdown_timeout=_goodbye(tls),
            )
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    @property
    def lost(self) -> bool:
        """Whether the connection is closed in both directions."""
        return self._writer.transport.is_closing()

    async def send(self, data: bytes) -> None:
        """Send, and wait until the kernel has it."""
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """Send no more; where the transport cannot say so alone (TLS), close."""
        if self.lost:
            return
        if self._writer.can_write_eof():
            self._writer.write_eof()
        else:
            self._writer.close()

    def drop(self) -> None:
        """Close at once; what is not sent is lost."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """Close at once, on TCP by a reset; a unix socket has none, its peer sees the end."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and not self.lost and sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.drop()

    async def flushed(self) -> None:
        """Wait until the peer's kernel has all that was sent (a reset discards the rest)."""
        end = time.monotonic() + _FLUSH_SECONDS
        quiet = 0
        # Two looks: between them TLS may hand more of its own buffer to the kernel.
        while quiet < 2 and not self.lost and time.monotonic() < end:
            quiet = quiet + 1 if self._unacknowledged() == 0 else 0
            await asyncio.sleep(0.005)

    def _unacknowledged(self) -> int:
        """Bytes in the kernel's send queue of a TCP socket (Linux, tcp(7), SIOCOUTQ)."""
        sock = self._writer.get_extra_info("socket")
        if sys.platform != "linux" or sock is None or sock.family == socket.AF_UNIX:
            return 0
        import fcntl  # noqa: PLC0415 - absent on Windows
        import termios  # noqa: PLC0415

        size = array.array("i", [0])
        try:
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, size)
        except OSError:
            return 0
        return size[0]

    async def close(self) -> None:
        """Send what is left, close, and wait until that is done."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._writer.wait_closed()


def _goodbye(tls: ssl.SSLContext | None) -> float | None:
    """Return how long to wait for the end of TLS; asyncio takes none without TLS."""
    return _GOODBYE_SECONDS if tls else None


async def pipe(one: Wire, other: Wire) -> None:
    """Copy bytes both ways until both ends have ended; an end is passed on by itself."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_copy(one, other))
        group.create_task(_copy(other, one))


async def _copy(source: Wire, target: Wire) -> None:
    """Copy bytes one way and pass the end on."""
    while data := await source.reader.read(BLOCK):
        await target.send(data)
    target.end()

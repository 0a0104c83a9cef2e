"""Connections to the cluster, by TCP, an HTTP proxy and TLS, and the answers that come by them."""

from __future__ import annotations

import base64
import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from spawnery_kubernetes.access import Access

_IDLE: Final = 16
"""Connections that are kept for the next call."""
_PORTS: Final = {"http": 80, "https": 443}
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class UnsentError(Exception):
    """No connection came about, for the reason that is its cause."""


class Connection(http.client.HTTPConnection):
    """A connection that tells a request that was never sent from one that was.

    Args:
        access: Where the cluster is.
        context: For TLS; None without.

    Attributes:
        wire: Its socket, also when it is closed.
    """

    wire: socket.socket

    def __init__(self, access: Access, context: ssl.SSLContext | None) -> None:
        server = urlsplit(access.server)
        super().__init__(server.hostname or "", _port(server))
        self._access = access
        self._context = context

    def connect(self) -> None:
        """Connect.

        Raises:
            UnsentError: It did not come about within ``timeout``.
        """
        try:
            self.sock = self.wire = _opened(self._access, self._context, self.timeout or 0.0)
        except (OSError, http.client.HTTPException) as error:
            raise UnsentError from error

    @property
    def dropped(self) -> bool:
        """Whether the server has closed it meanwhile: nothing else can make it readable."""
        poll = select.poll()  # select(2) takes no descriptor over 1023
        poll.register(self.wire, select.POLLIN)
        return self.sock is None or bool(poll.poll(0))


class Connections:
    """The connections of one identity; those that nobody uses are kept for the next request.

    Args:
        access: Where the cluster is.
        context: For TLS; None without.
    """

    def __init__(self, access: Access, context: ssl.SSLContext | None) -> None:
        self._access = access
        self._context = context
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    def take(self, limit: float) -> Connection:
        """Return a connection, an open one where there is one.

        Args:
            limit: Seconds in which it has to come about.

        Raises:
            UnsentError: It does not.
        """
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = Connection(self._access, self._context)
                connection.timeout = limit
                connection.connect()
                return connection
            if not connection.dropped:
                return connection
            connection.close()

    def keep(self, connection: Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        with self._lock:
            if len(self._idle) < _IDLE and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close those that nobody uses; the others close when their answer is read."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Answer:
    """The answer to one request, read by one thread.

    Args:
        connection: What it comes by.
        response: Its header.
        keep: Takes the connection back.

    Attributes:
        over: Whether it was read to its end.
    """

    def __init__(
        self,
        connection: Connection,
        response: http.client.HTTPResponse,
        keep: Callable[[Connection], None],
    ) -> None:
        self.status = response.status
        self.headers = response.headers
        self.wire = connection.wire
        self.over = False
        self._connection = connection
        self._response = response
        self._keep = keep

    @property
    def ends(self) -> bool:
        """Whether its header tells where it ends."""
        return self._response.chunked or self._response.length is not None

    def read1(self, size: int) -> bytes:
        """Wait for the next bytes; empty at the end.

        Raises:
            OSError, http.client.HTTPException: It is cut.
        """
        data = b"" if self.over else self._response.read1(size)
        if not data and self._response.length:
            msg = f"{self._response.length} bytes of the answer did not come"
            raise http.client.HTTPException(msg)
        if not self.over and (not data or self._response.length == 0):
            self.over = True
            self._response.close()
            if self._connection.sock is not None:
                self._keep(self._connection)
        return data

    def close(self) -> None:
        """Let go of it, and of its connection where it was not read to its end."""
        if not self.over:
            self.over = True
            self._response.close()
            self._connection.close()


def _opened(access: Access, context: ssl.SSLContext | None, limit: float) -> socket.socket:
    until = time.monotonic() + limit
    server = urlsplit(access.server)
    proxy = urlsplit(access.proxy) if access.proxy is not None else None
    way = proxy or server
    sock = socket.create_connection((way.hostname or "", _port(way)), limit)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that is gone without a word must end a stream that waits for it (half-open TCP).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
        sock.settimeout(max(0.001, until - time.monotonic()))
        if context is None:
            return sock
        if proxy is not None:
            _tunnel(sock, server, proxy)
        name = access.server_name or (server.hostname or "").rstrip(".")
        return context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def _tunnel(sock: socket.socket, server: SplitResult, proxy: SplitResult) -> None:
    """Have a proxy connect us to the server (RFC 9110, 9.3.6).

    Raises:
        OSError: It does not.
    """
    host = server.hostname or ""
    target = f"[{host}]:{_port(server)}" if ":" in host else f"{host}:{_port(server)}"
    fields = {"Host": target, **proxy_login(proxy)}
    lines = [f"CONNECT {target} HTTP/1.1", *(f"{key}: {value}" for key, value in fields.items())]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    with http.client.HTTPResponse(sock, method="CONNECT") as response:
        response.begin()
        if response.status != HTTPStatus.OK:
            msg = f"it does not let us through: {response.status} {response.reason}"
            raise OSError(msg)


def proxy_login(proxy: SplitResult) -> dict[str, str]:
    """Return the header field that tells a proxy who we are, where its address does."""
    login, at, _ = proxy.netloc.rpartition("@")
    if not at:
        return {}
    coded = base64.b64encode(unquote(login).encode()).decode()
    return {"Proxy-Authorization": f"Basic {coded}"}


def _port(address: SplitResult) -> int:
    return address.port or _PORTS[address.scheme]

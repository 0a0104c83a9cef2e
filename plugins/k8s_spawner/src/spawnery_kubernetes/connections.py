"""Connections to the cluster, by TCP, an HTTP proxy and TLS, and the answers that come by them."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from spawnery.wires import Kept, is_dropped, keep_alive

from spawnery_kubernetes.access import Access

_IDLE: Final = 16
"""Connections that are kept for the next call."""
_PORTS: Final = {"http": 80, "https": 443}


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
        """Whether the server has closed it meanwhile."""
        return self.sock is None or is_dropped(self.sock)


class Connections:
    """The connections of one identity.

    Args:
        access: Where the cluster is.
        context: For TLS; None without.

    Attributes:
        kept: Those that nobody uses at the moment.
    """

    def __init__(self, access: Access, context: ssl.SSLContext | None) -> None:
        self._access = access
        self._context = context
        self.kept: Kept[Connection] = Kept(_IDLE)

    def take(self, limit: float) -> Connection:
        """Return a connection, an open one where there is one.

        Args:
            limit: Seconds in which it has to come about.

        Raises:
            UnsentError: It does not.
        """
        connection = self.kept.take()
        if connection is None:
            connection = Connection(self._access, self._context)
            connection.timeout = limit
            connection.connect()
        return connection


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
        keep_alive(sock)
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
